import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeNativeRelease } from '../support/native-release.ts';
import type { Runner } from './process.ts';
import { fileWorld, registryWorld, type World } from './worlds.ts';

/** Folders of a run. All are below the root, so that calls on them count. */
export interface Places {
  /** Input, the same for all runs. */
  readonly input: string;
  /** Output, emptied for each point. */
  readonly output: string;
  readonly cache: string;
  readonly temporary: string;
}

export interface Scenario {
  readonly name: string;
  /** A run takes seconds. */
  readonly heavy?: boolean;
  /** The server that the run connects to. */
  world?(places: Places): Promise<World>;
  /** `url` is the world's. */
  argv(places: Places, url: string): string[];
  /** The command line to repeat the run, if the first one is refused when its output exists. */
  again?(places: Places, url: string): string[];
  /** For a server, which runs until it is stopped: the paths to request before. */
  readonly paths?: readonly string[];
  /** Files that an interrupted run may leave under their final names, because the next run continues them. */
  readonly keeps?: RegExp;
}

const engine = ({ cache }: Places) => ['--engine', 'native', '--cache-dir', cache, '--jobs', '1'];

const dehydrate = (places: Places) => [
  ...['dehydrate', '--stream', join(places.input, 'release/stream.json')],
  ...['--artifacts', join(places.input, 'release'), '-o', join(places.output, 'bundle')],
  ...engine(places),
];

const download = (places: Places) => [
  ...['dehydrate', '--stream', join(places.input, 'stream.json'), '--download'],
  ...['--artifacts', join(places.output, 'release'), '-o', join(places.output, 'bundle')],
  ...engine(places),
];

const bundleIn = ({ input }: Places) => join(input, 'bundle');
const referenceAt = (url: string) => `${new URL(url).host}/x:t`;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'dehydrate',
    heavy: true,
    argv: dehydrate,
    again: (places) => [...dehydrate(places), '--force'],
  },
  {
    name: 'dehydrate --download',
    heavy: true,
    async world(places) {
      const world = await fileWorld(join(places.input, 'release'));
      const stream = readFileSync(join(places.input, 'release/stream.json'), 'utf8');
      const moved = stream.replaceAll('https://example.com', world.url);
      writeFileSync(join(places.input, 'stream.json'), moved);
      return world;
    },
    argv: download,
    again: (places) => [...download(places), '--force'],
    keeps: /^output\/release\/[\w.-]+(\.part)?$/,
  },
  {
    name: 'rehydrate',
    argv: (places) => [
      ...['rehydrate', '--bundle', bundleIn(places), '--platform', 'all'],
      ...['-o', places.output, ...engine(places)],
    ],
  },
  {
    name: 'rehydrate without a cache',
    argv: (places) => [
      ...['rehydrate', '--bundle', bundleIn(places), '--platform', 'aws,qemu'],
      ...['-o', places.output, '--engine', 'native', '--no-cache'],
    ],
  },
  {
    name: 'pull',
    world: (places) => registryWorld(bundleIn(places)),
    argv: ({ output }, url) => ['pull', referenceAt(url), '-o', join(output, 'bundle')],
    keeps: /^output\/bundle\/blobs\/sha256\/[0-9a-f]{64}\.part$/,
  },
  {
    name: 'push',
    world: () => registryWorld(),
    argv: (places, url) => ['push', '--bundle', bundleIn(places), referenceAt(url)],
  },
  {
    name: 'serve',
    argv: (places) => [
      ...['serve', '--bundle', bundleIn(places), '--listen', '127.0.0.1:0', '--json'],
      ...['--images', join(places.cache, 'images'), '--reserve', '1MiB'],
      ...['--engine', 'native', '--cache-dir', places.cache],
    ],
    paths: ['/qemu.raw', '/aws.vmdk', '/live-kernel'],
  },
];

/** Makes the input of the scenarios: a release, and its bundle. */
export async function writeInput(places: Places, runner: Runner): Promise<void> {
  await writeNativeRelease(join(places.input, 'release'));
  const argv = dehydrate({ ...places, output: places.input });
  const run = await runner.run({ argv, env: {}, root: '/nowhere' });
  if (typeof run === 'string' || run.code !== 0)
    throw new Error(`no bundle: ${JSON.stringify(run)}`);
}
