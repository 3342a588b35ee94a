import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as v from 'valibot';
import type { Arch } from '../../src/core/arch.ts';
import { openLiveIso } from '../../src/formats/iso/open.ts';
import { listArtifacts } from '../../src/release/stream/artifacts.ts';
import { decodeStream } from '../../src/release/stream/read.ts';
import { containerOf } from './container.ts';
import { best, type Measured, measure, script, shell } from './measure.ts';
import { bytes, mebibytes, seconds, table } from './table.ts';

export interface FilesBench {
  readonly cli: readonly string[];
  readonly fixture: string;
  /** Path of the ISO. */
  readonly iso: string;
  readonly work: string;
  /** An OCI layout with gzip layers of the same system; by default, one is made from the ISO. */
  readonly container: string | undefined;
}

const Blob = v.object({ size: v.number() });
const Inspection = v.object({
  bundle: v.object({
    architectures: v.tuple([
      v.object({
        files: v.object({
          ...{ count: v.number(), size: v.number(), contents: Blob },
          lacking: v.object({ count: v.number() }),
        }),
        bases: v.object({ metal: v.object({ delta: Blob }) }),
      }),
    ]),
  }),
});
const Native = v.object({ total: v.number() });
const Files = v.object({ unpack: v.number(), patch: v.number() });

/**
 * The base `files` beside the osmet: what the metal disk takes in the bundle, and how long it takes to make: from
 * the ISO beside the native engine, from a container beside unpacking its layers. Returns two tables.
 */
export async function filesTables(arch: Arch, options: FilesBench): Promise<string> {
  const { iso, work } = options;
  await mkdir(work, { recursive: true });
  const container = options.container ?? (await containerOf(iso, arch, work));
  const release = await metalRelease(arch, options);
  const { osmets } = await openLiveIso(iso);
  const osmet = osmets.find(({ variant }) => variant === 'metal');
  const alone = await dehydrated(arch, 'files-of-iso', release, [], options);
  const both = await dehydrated(arch, 'files', release, ['--container', container], options);
  const sizes = table(
    [
      ...['architecture, sources', 'osmet', 'delta', 'list', 'files in the base', 'their size'],
      ...['in the delta instead', 'dehydrate', 'peak RSS'],
    ],
    [
      [`${arch}, ISO`, bytes(osmet?.length ?? 0), ...alone.cells],
      [`${arch}, ISO and container`, bytes(osmet?.length ?? 0), ...both.cells],
    ],
  );

  const rows: string[][] = [];
  if (osmet !== undefined) {
    const native = await best(async () => {
      const disk = join(work, 'native.raw');
      const run = await measure([process.execPath, script('engine-run.ts'), iso, disk]);
      await rm(disk);
      return { ...run, seconds: v.parse(Native, JSON.parse(run.stdout)).total };
    });
    rows.push(row('metal disk, native engine', native, native));
    rows.push(...(await fromFiles(arch, both.bundle, ['iso', iso], native, options)));
  }
  const unpack =
    'find "$1/blobs" -type f -size +64k -print0 | xargs -0 -n 1 -P "$(nproc)" gzip -dc >/dev/null';
  const gzip = await best(() => measure(shell(unpack, container)));
  rows.push([...row('`gzip -dc` of the layers, all cores', gzip, gzip).slice(0, 3), '']);
  const source = ['container', container] as const;
  rows.push(...(await fromFiles(arch, both.bundle, source, gzip, options)));
  await rm(work, { recursive: true });
  return `${sizes}\n\n${table([arch, 'time', 'ratio', 'peak RSS'], rows)}`;
}

async function dehydrated(
  arch: Arch,
  name: string,
  release: readonly string[],
  more: readonly string[],
  { cli, work }: FilesBench,
) {
  const bundle = join(work, name);
  const made = await measure([
    ...[...cli, 'dehydrate', ...release, '--arch', arch, '--output', bundle, '--iso-external'],
    ...['--released', 'none', '--cache-dir', join(work, 'cache'), '--quiet', '--base', 'files'],
    ...['--engine', 'native', ...more],
  ]);
  await rm(join(work, 'cache'), { recursive: true });
  const { stdout } = await measure([...cli, 'inspect', bundle, '--json']);
  const [{ files, bases }] = v.parse(Inspection, JSON.parse(stdout)).bundle.architectures;
  const { contents, count, size, lacking } = files;
  const cells = [bases.metal.delta.size, contents.size, count, size, lacking.count].map(bytes);
  return { bundle, cells: [...cells, seconds(made.seconds), mebibytes(made.peakRss)] };
}

/** Two rows: the base, and the metal disk from it. */
async function fromFiles(
  arch: Arch,
  bundle: string,
  [kind, source]: readonly ['iso' | 'container', string],
  floor: Pick<Measured, 'seconds'>,
  { work }: FilesBench,
): Promise<string[][]> {
  const cache = join(work, 'cache');
  const made = await best(async () => {
    const args = [bundle, arch, kind, source, cache];
    const run = await measure([process.execPath, script('files-run.ts'), ...args]);
    await rm(cache, { recursive: true });
    const { unpack, patch } = v.parse(Files, JSON.parse(run.stdout));
    return { ...run, unpack, seconds: unpack + patch };
  });
  const from = kind === 'iso' ? 'the ISO' : 'the container';
  return [
    row(`base, files of ${from}`, { ...made, seconds: made.unpack }, floor),
    row(`metal disk, files of ${from}`, made, floor),
  ];
}

type Timed = Pick<Measured, 'seconds' | 'peakRss'>;

const row = (name: string, run: Timed, floor: Pick<Measured, 'seconds'>) => [
  ...[name, seconds(run.seconds), (run.seconds / floor.seconds).toFixed(2)],
  mebibytes(run.peakRss),
];

/** The arguments for a release of the ISO and the metal disk alone. */
async function metalRelease(arch: Arch, { fixture, work }: FilesBench): Promise<string[]> {
  const folder = join(work, 'release');
  await mkdir(folder);
  const path = join(fixture, 'stream.json');
  const text = await readFile(path);
  const document = JSON.parse(text.toString());
  const { metal } = document.architectures[arch].artifacts;
  for (const format of Object.keys(metal.formats)) {
    if (format !== 'iso' && !/^raw(\.|$)/.test(format)) delete metal.formats[format];
  }
  document.architectures = { [arch]: { artifacts: { metal } } };
  const stream = join(folder, 'stream.json');
  await writeFile(stream, JSON.stringify(document));
  const artifacts = listArtifacts(decodeStream(text, path), arch);
  for (const { platform, format, releasedName } of artifacts) {
    if (platform !== 'metal' || !/^(iso|raw)\b/.test(format)) continue;
    await symlink(join(fixture, releasedName), join(folder, basename(releasedName)));
  }
  return ['--stream', stream, '--artifacts', folder];
}
