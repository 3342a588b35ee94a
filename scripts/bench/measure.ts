import { readFileSync } from 'node:fs';
import { execa } from 'execa';

export interface Measured {
  readonly seconds: number;
  /** See {@link watchPeak}. */
  readonly peakRss: number;
  readonly stdout: string;
}

/** Runs a command to its end. Throws if it fails. */
export async function measure(command: readonly string[], timeout?: number): Promise<Measured> {
  const [file = '', ...args] = command;
  const started = performance.now();
  const child = execa(file, args, {
    stdin: 'ignore',
    stderr: 'pipe',
    maxBuffer: 1 << 26,
    ...(timeout === undefined ? {} : { timeout }),
  });
  using peak = watchPeak(child.pid);
  const { stdout } = await child;
  return { seconds: (performance.now() - started) / 1000, peakRss: peak.rss(), stdout };
}

/** Watches the peak resident set of a process (VmHWM; its children do not count) until disposed of. Bytes. */
export function watchPeak(pid: number | undefined): Disposable & { rss(): number } {
  let peak = 0;
  // The high-water mark only grows, so the last reading is the peak of all but the last 20 ms.
  const sampler = setInterval(() => {
    peak = Math.max(peak, highWater(pid));
  }, 20);
  return { rss: () => peak, [Symbol.dispose]: () => clearInterval(sampler) };
}

function highWater(pid: number | undefined): number {
  if (pid === undefined) return 0;
  try {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0; // gone
  }
}

export const shell = (script: string, ...args: readonly string[]): string[] => [
  'sh',
  '-euc',
  script,
  'sh',
  ...args,
];

/** Path of a script in this folder. */
export const script = (name: string): string => new URL(name, import.meta.url).pathname;

/** Runs of each; the fastest counts, because other programs may be using the machine. */
const RUNS = 3;

export async function best<T extends { readonly seconds: number }>(
  run: () => Promise<T>,
): Promise<T> {
  let quickest = await run();
  for (let i = 1; i < RUNS; i++) {
    const next = await run();
    if (next.seconds < quickest.seconds) quickest = next;
  }
  return quickest;
}
