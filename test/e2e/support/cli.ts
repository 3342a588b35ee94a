import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { execa } from 'execa';
import { watchPeak } from '../../../scripts/bench/measure.ts';

const BIN = resolve('dist/src/cli/bin.js');
if (!existsSync(BIN)) throw new Error(`${BIN} is missing: run npm run build`);

export interface CliResult {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Bytes. */
  readonly peakRss: number;
}

export interface CliRun {
  /** Called with each line of stderr as it comes. */
  readonly onLine?: (line: string, kill: (signal: NodeJS.Signals) => void) => void;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

/** Runs the built command line and never throws: the result says how it ended. */
export async function cli(args: readonly string[], run: CliRun = {}): Promise<CliResult> {
  const child = execa(process.execPath, [BIN, ...args], {
    reject: false,
    stdin: 'ignore',
    ...(run.cwd === undefined ? {} : { cwd: run.cwd }),
    ...(run.env === undefined ? {} : { env: run.env }),
  });
  if (run.onLine) {
    const { onLine } = run;
    (async () => {
      for await (const line of child.iterable({ from: 'stderr' })) {
        onLine(line, (signal) => child.kill(signal));
      }
    })().catch(() => {}); // the result tells how the process ended
  }
  using peak = watchPeak(child.pid);
  const { exitCode, signal, stdout, stderr } = await child;
  return { exitCode, signal, stdout, stderr, peakRss: peak.rss() };
}

export async function output(file: string, args: readonly string[]): Promise<string> {
  return (await execa(file, args)).stdout;
}

/** Command lines of running QEMUs that mention `text`. */
export function qemusWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        return []; // ended in the meantime
      }
    })
    .filter((line) => /qemu-system/.test(line.slice(0, 200)) && line.includes(text));
}

/** Relative paths of everything below a folder, to see what a failed run left behind. */
export function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true }).map(String).sort();
}
