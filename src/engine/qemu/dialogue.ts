import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type CommandResult,
  createMark,
  frame,
  matchFrame,
  spell,
} from '../../../vm/guest/frame.ts';
import {
  type ExtractForm,
  PROBES,
  probeScript,
  readExtractForm,
} from '../../../vm/guest/installer.ts';
import { placeReadAhead } from '../../../vm/guest/read-ahead.ts';
import { becomeRoot, isReady, knock } from '../../../vm/guest/shell.ts';
import {
  type CpuTimes,
  type GuestDisk,
  inParallel,
  prefetchScript,
  readCpuTimes,
  tuneScript,
  unpackScript,
} from '../../../vm/guest/unpack.ts';
import { anyOf, type Console } from './console.ts';
import { Terminated, type Termination } from './termination.ts';

/** Both ends of the serial line. */
export interface Line {
  readonly console: Console;
  readonly type: (text: string) => void;
  readonly termination: Termination;
}

const KNOCK_EVERY_MS = 2000;

const newMark = () => createMark(randomBytes(12).toString('hex'));

/** Waits until getty logs the live user in. */
export async function awaitReady({ console, termination }: Line): Promise<void> {
  await termination.race(console.waitFor({ match: (text) => isReady(text) || undefined }, 0));
}

/**
 * Gets a root shell that answers in frames. login(1) discards earlier input, so the first line is repeated
 * until there is an answer.
 */
export async function openShell(line: Line): Promise<void> {
  const { console, type, termination } = line;
  const hello = newMark();
  const from = console.position();
  const answered = console.waitFor(anyOf(spell(hello)), from);
  let stop = false;
  answered.then(() => {
    stop = true;
  });
  while (!stop) {
    type(`${knock(hello)}\r`);
    await termination.race(Promise.race([answered, delay(KNOCK_EVERY_MS)]));
  }
  const ready = newMark();
  const refused = newMark();
  const next = console.waitFor(anyOf(spell(ready), spell(refused)), console.position());
  type(`${becomeRoot(ready, refused)}\r`);
  if ((await termination.race(next)) !== spell(ready)) {
    throw new Terminated({ kind: 'refused', reason: 'the live user may not become root by sudo' });
  }
  console.stopTerminal();
}

/** Runs one line of shell as root. */
export async function run(line: Line, script: string): Promise<CommandResult> {
  const framed = frame(script, newMark(), newMark());
  const done = line.console.waitFor(
    { match: (text: string) => matchFrame(framed, text) },
    line.console.position(),
  );
  line.type(`${framed.line}\n`);
  return line.termination.race(done);
}

/** A message of some service may fall into the help text, where none that is known can be taken out. */
const PROBE_ATTEMPTS = 3;

/** Finds out how the guest's coreos-installer must be called. */
export async function probeInstaller(line: Line): Promise<ExtractForm> {
  let last: CommandResult = { status: 127, output: '' };
  for (let attempt = 0; attempt < PROBE_ATTEMPTS; attempt++) {
    for (const subcommand of PROBES) {
      last = await run(line, probeScript(subcommand));
      const form = last.status === 0 ? readExtractForm(subcommand, last.output) : undefined;
      if (form) return form;
    }
  }
  throw new Terminated({
    kind: 'guest',
    task: 'find the osmet command of coreos-installer',
    ...last,
  });
}

export interface UnpackOptions {
  readonly disks: readonly GuestDisk[];
  /** Environment of the installer. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** The guest's. */
  readonly vcpus: number;
}

/**
 * Unpacks all osmets and returns once every byte reached QEMU. Resolves to the processor time that each disk
 * took in the guest, by serial number.
 */
export async function unpack(
  line: Line,
  { disks, env, vcpus }: UnpackOptions,
): Promise<ReadonlyMap<string, CpuTimes>> {
  const form = await probeInstaller(line);
  await run(line, tuneScript());
  await run(line, placeReadAhead());
  await run(line, prefetchScript(disks));
  const scripts = disks.map((disk) => unpackScript(disk, form, env));
  const times = new Map<string, CpuTimes>();
  // One after the other, because two installers on one vCPU are slower together.
  for (const script of vcpus > 1 ? [inParallel(scripts)] : scripts) {
    const result = await run(line, script);
    if (result.status !== 0)
      throw new Terminated({ kind: 'guest', task: 'unpack the osmet', ...result });
    for (const [serial, cpu] of readCpuTimes(result.output)) times.set(serial, cpu);
  }
  return times;
}
