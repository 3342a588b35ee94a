import { cp, mkdtemp, rm, statfs } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type KillResult, killAtSteps } from './kill.ts';
import type { Kind } from './messages.ts';
import { buildLibrary, createRunner, type Runner } from './process.ts';
import { type Scenario, writeInput } from './scenarios.ts';
import { placesIn, type SweepResult, sweep } from './sweep.ts';

/** A process with folders and a world of its own. */
export interface Lane {
  readonly index: number;
  readonly runner: Runner;
  readonly library: string;
  readonly root: string;
  readonly shared: Shared;
}

/** What the lanes have in common. */
interface Shared {
  /** What they try, and the position of what comes next. */
  all: readonly unknown[] | undefined;
  next: number;
  /** Problems of the run that follows, by the state in which it begins. */
  readonly proved: Map<string, Promise<readonly string[]>>;
}

export interface Effort {
  /** How many calls of each kind to fail, each in every way; all, if there are no more than that. */
  readonly perKind: number;
  /** How many calls to kill the program at. */
  readonly kills: number;
  readonly kinds?: readonly Kind[] | undefined;
  readonly onPoint?: ((text: string) => void) | undefined;
  readonly onFault?: ((text: string) => void) | undefined;
}

export interface Lanes extends AsyncDisposable {
  sweep(scenario: Scenario, effort: Effort): Promise<SweepResult>;
  kill(scenario: Scenario, effort: Effort): Promise<KillResult>;
}

/** One lane for each processor. */
export async function openLanes(): Promise<Lanes> {
  const folder = await mkdtemp(join(await fastFolder(), 'faults-'));
  const library = await buildLibrary(folder);
  const shared: Shared = { all: undefined, next: 0, proved: new Map() };
  const lanes: Lane[] = Array.from({ length: availableParallelism() }, (_, index) => ({
    ...{ index, library, shared },
    runner: createRunner(library, index),
    root: join(folder, `${index}`),
  }));
  const [first, ...others] = lanes;
  if (first === undefined) throw new Error('no processor');
  await writeInput(placesIn(first.root), first.runner);
  for (const { root } of others) await cp(first.root, root, { recursive: true });

  const begin = () => {
    shared.all = undefined;
    shared.next = 0;
    shared.proved.clear();
  };
  return {
    async sweep(scenario, effort) {
      begin();
      const all = await Promise.all(lanes.map((lane) => sweep(scenario, lane, effort)));
      return {
        calls: all[0]?.calls ?? {},
        points: sum(all, ({ points }) => points),
        survived: sum(all, ({ survived }) => survived),
        faults: all.flatMap(({ faults }) => faults),
      };
    },
    async kill(scenario, effort) {
      begin();
      const all = await Promise.all(lanes.map((lane) => killAtSteps(scenario, lane, effort)));
      return {
        steps: all[0]?.steps ?? 0,
        kills: sum(all, ({ kills }) => kills),
        faults: all.flatMap(({ faults }) => faults),
      };
    },
    async [Symbol.asyncDispose]() {
      for (const { runner } of lanes) runner[Symbol.dispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}

const SHARED_MEMORY = '/dev/shm';
const ROOM = 1 << 30;

/** Memory, if there is room: runs write and sync much, which a disk would make us wait for. */
async function fastFolder(): Promise<string> {
  const found = await statfs(SHARED_MEMORY).catch(() => undefined);
  return found && found.bavail * found.bsize > ROOM ? SHARED_MEMORY : tmpdir();
}
