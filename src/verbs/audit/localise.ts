import { dirname, join } from 'node:path';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { RehydrateError, throwIfAborted } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
import type { Sink } from '../../core/io/sink.ts';
import { openSource } from '../../core/io/source.ts';
import { findReleased, type ReleasedFile, readReleased } from '../../release/files/released.ts';
import type { WriteArtifactOptions } from '../make/patch.ts';
import { writeArtifact } from '../make/write-artifact.ts';
import { comparingSink, type Difference } from './compare.ts';
import { openFileGuide } from './regions/container.ts';
import type { DiskGuide } from './regions/disk.ts';
import { offsetsInBase } from './regions/from-base.ts';
import type { ReportedDifference } from './report.ts';

export interface LocaliseOptions extends Omit<WriteArtifactOptions, 'sink'> {
  /** The folder with the released files. */
  readonly folder: string;
  /** Where the wrong file is kept. */
  readonly keepAt: string;
  /** Describes the disk in the artifact; undefined if there is none. */
  readonly guide: () => Promise<DiskGuide | undefined>;
}

export interface Localised {
  readonly difference?: ReportedDifference;
  readonly diffoscope?: string;
  /** Why the two were not compared, or why the comparison is doubtful. */
  readonly doubt?: string;
}

/** More regions than this add nothing. */
const MAX_REGIONS = 32;

/**
 * Makes a BAD artifact once more, into a file, and compares it with the released one on the way. The file
 * is kept, sparse, for a closer look. Resolves to only a doubt if the released file is not available or has
 * the wrong SHA-256.
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
    return { doubt: 'the released file is identical, so the bundle records a wrong SHA-256' };
  }
  return {
    difference: await describe(found, options),
    diffoscope: diffoscopeCommand(file, keepAt),
  };
}

/** The local copy of the released file must match the stream JSON, or the comparison proves nothing. */
function doubtOf(
  { compression, released }: RecipeArtifact,
  file: ReleasedFile,
  found: Sha256,
): string | undefined {
  if (file.compression !== compression || found === released.sha256) return undefined;
  return `${released.name} is not the released file: its SHA-256 is ${found}`;
}

async function writeWrong(options: LocaliseOptions, comparing: Sink): Promise<void> {
  const { keepAt } = options;
  await makeFolder(dirname(keepAt));
  await writeAtomically(
    keepAt,
    async (file) => {
      const sink: Sink = {
        async write(chunk) {
          await Promise.all([file.write(chunk), comparing.write(chunk)]);
        },
        async zeros(length) {
          await file.zeros(length);
          await comparing.zeros(length);
        },
      };
      // It is known to come out wrong, so this error is expected.
      await writeArtifact({ ...options, sink }).catch((error: unknown) => {
        throwIfAborted(options.signal);
        if (!(error instanceof RehydrateError) || error.kind === 'io') throw error;
      });
    },
    { signal: options.signal },
  );
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

/** The path in a report's folder where the wrong file of an artifact is kept. */
export const wrongFile = (reportFolder: string, { name }: Pick<RecipeArtifact, 'name'>): string =>
  join(reportFolder, 'bad', name);
