import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { RehydrateError, throwIfAborted } from '../../core/errors.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { osError } from '../../core/io/os-error.ts';
import { fileSink, type Sink } from '../../core/io/sink.ts';
import { openSource } from '../../core/io/source.ts';
import { findReleased, type ReleasedFile, readReleased } from '../../release/files/released.ts';
import type { WriteArtifactOptions } from '../rehydrate/patch.ts';
import { writeArtifact } from '../rehydrate/write-artifact.ts';
import { comparingSink, type Difference } from './compare.ts';
import { openFileGuide } from './regions/container.ts';
import type { DiskGuide } from './regions/disk.ts';
import { offsetsInBase } from './regions/from-base.ts';
import type { ReportedDifference } from './report.ts';

export interface LocaliseOptions extends Omit<WriteArtifactOptions, 'sink'> {
  /** Where released files lie. */
  readonly folder: string;
  /** Where the wrong file is kept. */
  readonly keepAt: string;
  /** Tells of the disk in the artifact; undefined for what is no disk. */
  readonly guide: () => Promise<DiskGuide | undefined>;
}

export interface Localised {
  readonly difference?: ReportedDifference;
  readonly diffoscope?: string;
  /** What kept the two from being compared, or makes the comparison doubtful. */
  readonly doubt?: string;
}

/** More regions than this tell nothing new. */
const MAX_REGIONS = 32;

/**
 * Makes a BAD artifact once more, into a file, and compares it with the released one meanwhile. The
 * file is kept, sparse: it is what a closer look needs. Resolves to nothing but a doubt if the released
 * file is not at hand or is not the released one.
 */
export async function localise(options: LocaliseOptions): Promise<Localised> {
  const { artifact, folder, keepAt, signal } = options;
  const { name, released, compression, attestation } = artifact;
  const wanted = { name, compression, attestation, releasedName: released.name };
  const file = await findReleased(folder, wanted);
  if (file === undefined) return { doubt: `${released.name} is not among the artifacts` };
  const reader = readReleased(file, signal);
  const comparing = comparingSink(reader.target[Symbol.asyncIterator](), signal);
  await writeWrong(options, comparing);
  const found = await comparing.finish();
  const doubt = doubtOf(artifact, file, reader.fileDigest().sha256);
  if (doubt) return { doubt };
  if (found === undefined) {
    return { doubt: 'the released file is the same: the bundle promises another SHA-256' };
  }
  return {
    difference: await describe(found, options),
    diffoscope: diffoscopeCommand(file, keepAt),
  };
}

/** The released file at hand must be the one that the stream promises, or it proves nothing. */
function doubtOf(
  { compression, released }: RecipeArtifact,
  file: ReleasedFile,
  found: Sha256,
): string | undefined {
  if (file.compression !== compression || found === released.sha256) return undefined;
  return `${released.name} at hand is not the released file: its SHA-256 is ${found}`;
}

async function writeWrong(options: LocaliseOptions, comparing: Sink): Promise<void> {
  const { keepAt } = options;
  try {
    await mkdir(dirname(keepAt), { recursive: true });
    await using handle = await open(keepAt, 'w', 0o644);
    const file = fileSink(handle, keepAt);
    const sink: Sink = {
      async write(chunk) {
        await Promise.all([file.write(chunk), comparing.write(chunk)]);
      },
      async zeros(length) {
        await file.zeros(length);
        await comparing.zeros(length);
      },
    };
    // It is known to come out wrong; whatever came out is looked at.
    await writeArtifact({ ...options, sink }).catch((error: unknown) => {
      throwIfAborted(options.signal);
      if (!(error instanceof RehydrateError) || error.kind === 'io') throw error;
    });
    await file.finish();
  } catch (error) {
    throw osError(error, 'write', keepAt);
  }
}

async function describe(
  { runs, ...found }: Difference,
  { artifact, bundle, keepAt, guide, signal }: LocaliseOptions,
): Promise<ReportedDifference> {
  await using file = await openSource(keepAt);
  const starts = runs.map(({ start }) => start);
  const inBase = await offsetsInBase(artifact, bundle, starts, signal);
  const onDisk = (offset: number) => inBase.get(offset);
  const words = await openFileGuide(file, await guide(), { signal, onDisk });
  const regions: { start: number; end: number; words: string }[] = [];
  for (const { start, end } of runs) {
    const text = words(start).slice(0, 1024);
    const last = regions.at(-1);
    if (last?.words === text) last.end = end;
    else if (regions.length < MAX_REGIONS) regions.push({ start, end, words: text });
  }
  return { ...found, region: regions[0]?.words ?? '', regions };
}

const UNPACK: Readonly<Record<ReleasedFile['compression'], string>> = {
  xz: 'xz -dc',
  gz: 'gzip -dc',
  zst: 'zstd -dc',
  zip: 'unzip -p',
  none: '',
};

/** A shell command that shows how the wrong file differs from the released one. */
export function diffoscopeCommand({ path, compression }: ReleasedFile, wrong: string): string {
  if (compression === 'none') return `diffoscope ${quote(path)} ${quote(wrong)}`;
  const unpacked = quote(`${wrong}.released`);
  const unpack = `${UNPACK[compression]} ${quote(path)} >${unpacked}`;
  return `${unpack} && diffoscope ${unpacked} ${quote(wrong)}`;
}

const quote = (text: string) =>
  /^[\w./+:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

/** Where the wrong file of an artifact is kept in a report's folder. */
export const wrongFile = (reportFolder: string, { name }: Pick<RecipeArtifact, 'name'>): string =>
  join(reportFolder, 'bad', name);
