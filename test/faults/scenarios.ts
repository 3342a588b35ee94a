import { join } from 'node:path';
import { writeNativeRelease } from '../support/native-release.ts';
import type { Runner } from './process.ts';

/** Folders of a run. All are below the root, so that calls on them count. */
export interface Places {
  /** What the run reads: the same for all. */
  readonly input: string;
  /** What it makes. New for each point. */
  readonly output: string;
  readonly cache: string;
  readonly temporary: string;
}

export interface Scenario {
  readonly name: string;
  /** A run takes seconds. */
  readonly heavy?: boolean;
  argv(places: Places): string[];
  /** The same once more, where the first way is refused when its output is there. */
  again?(places: Places): string[];
}

const engine = ({ cache }: Places) => ['--engine', 'native', '--cache-dir', cache, '--jobs', '1'];

const dehydrate = (places: Places) => [
  ...['dehydrate', '--stream', join(places.input, 'release/stream.json')],
  ...['--artifacts', join(places.input, 'release'), '-o', join(places.output, 'bundle')],
  ...engine(places),
];

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'dehydrate',
    heavy: true,
    argv: dehydrate,
    again: (places) => [...dehydrate(places), '--force'],
  },
  {
    name: 'rehydrate',
    argv: (places) => [
      ...['rehydrate', '--bundle', join(places.input, 'bundle'), '--platform', 'all'],
      ...['-o', places.output, ...engine(places)],
    ],
  },
  {
    name: 'rehydrate without a cache',
    argv: (places) => [
      ...['rehydrate', '--bundle', join(places.input, 'bundle'), '--platform', 'aws,qemu'],
      ...['-o', places.output, '--engine', 'native', '--no-cache'],
    ],
  },
];

/** Makes what the scenarios read: a release, and the bundle of it. */
export async function writeInput(places: Places, runner: Runner): Promise<void> {
  await writeNativeRelease(join(places.input, 'release'));
  const argv = dehydrate({ ...places, output: places.input });
  const run = await runner.run({ argv, env: {}, root: '/nowhere' });
  if (typeof run === 'string' || run.code !== 0)
    throw new Error(`no bundle: ${JSON.stringify(run)}`);
}
