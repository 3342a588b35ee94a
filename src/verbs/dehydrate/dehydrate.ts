import type { Recipes } from '../../bundle/recipes.ts';
import { DEFAULT_RELEASED } from '../../bundle/released-layer.ts';
import { createBundleWriter } from '../../bundle/write.ts';
import { openMemo } from '../../codec/deflate/memo.ts';
import type { ReleasedKind } from '../../codec/released/layer.ts';
import { openBlockMemo } from '../../codec/released/memo.ts';
import { workerPool } from '../../codec/workers/pool.ts';
import { ARCHITECTURES, type Arch, isArch } from '../../core/arch.ts';
import { CancelledError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import { architecturesFailed, headline } from '../../core/failures.ts';
import { closeAll } from '../../core/io/source.ts';
import { forArch, type Progress, silent } from '../../core/progress/progress.ts';
import { type Settled, sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import { createTurns } from '../../core/threads/turns.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import type { Descriptor } from '../../formats/oci/oci.ts';
import type { DownloadOptions } from '../../release/download/download.ts';
import { findReleased } from '../../release/files/released.ts';
import { isoArtifact, listArtifacts } from '../../release/stream/artifacts.ts';
import { readStream } from '../../release/stream/read.ts';
import type { Stream } from '../../release/stream/schema.ts';
import { type ArchContext, dehydrateArch } from './arch.ts';
import { allowance } from './failures.ts';
import { fetchMetal, fetchReleased } from './fetch.ts';
import type { BaseChoice } from './iso.ts';
import { addIndex, addManifest } from './manifest.ts';
import { type Survey, surveyArch } from './survey.ts';
import { verifyBundle } from './verify.ts';

export interface DehydrateOptions {
  /** Path of the stream JSON. */
  readonly streamPath: string;
  /** The stream, if it was read from elsewhere. */
  readonly stream?: { readonly stream: Stream; readonly bytes: Uint8Array } | undefined;
  /** Folder with the released files under the names of their locations. */
  readonly folder: string;
  /**
   * Undefined: every architecture of the stream whose ISO is in the folder, or that can be downloaded.
   * `all`: every one of the stream; a missing ISO is then an error.
   */
  readonly arches?: readonly Arch[] | 'all' | undefined;
  /** How many artifacts are worked on at a time; 1 if undefined. Never affects a result. */
  readonly jobs?: number | undefined;
  /** How many architectures are, because each may need a VM; as many as `jobs` if undefined. */
  readonly boots?: number | undefined;
  /** Path of the new bundle. */
  readonly target: string;
  /** Refer to the ISO instead of including it. */
  readonly isoExternal?: boolean | undefined;
  /** Replace a bundle at the target. */
  readonly force?: boolean | undefined;
  /**
   * Kinds of compression for which to find out how the released files are compressed, so that these can be made too;
   * by default {@link DEFAULT_RELEASED}.
   */
  readonly released?: readonly ReleasedKind[] | undefined;
  /** Artifacts that may be missing: `qemu`, `metal/4k.raw`… */
  readonly allowMissing?: readonly string[] | undefined;
  /** Download released files that are not in the folder, from their locations. */
  readonly download?:
    | Pick<DownloadOptions, 'parallel' | 'keyring' | 'acceptKeys' | 'limit' | 'http'>
    | undefined;
  /**
   * What the metal disks are made from later: the ISO's osmets, or files. By default files if containers are named or
   * the ISO has no osmet.
   */
  readonly base?: BaseChoice;
  /** Container images that can replace the ISO later. */
  readonly containers?: Containers | undefined;
  readonly engine: MetalEngine;
  /** Receives the regenerated disks, and remembers which ISO an engine made them from. */
  readonly cache: MetalCache;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

export interface DehydrateReport {
  readonly bundle: string;
  readonly architectures: readonly ArchReport[];
}

export interface ArchReport {
  /** As written; every artifact in it was verified by a fresh read of the bundle. */
  readonly recipes: Recipes;
  readonly engine: EngineReport;
}

/**
 * Makes a bundle of a release: regenerates the metal disks with the engine, makes a delta for every other
 * artifact, writes the bundle, and verifies with a fresh read of it that it gives every artifact. One error
 * reports all artifacts that cannot be covered; nothing is written unless all of them are allowed to be
 * missing. Deterministic.
 *
 * Several architectures go into one bundle, `boots` of them worked on side by side, and `jobs` artifacts. Problems that the
 * release's metadata shows are reported for all of them before any ISO is booted. After that, one that
 * fails does not stop the others, so that one run reports every failure and leaves the other disks in the
 * cache. A bundle holds everything that was requested, or is not written.
 */
export async function dehydrate(options: DehydrateOptions): Promise<DehydrateReport> {
  const { stream, bytes } =
    options.stream ?? (await readStream(options.streamPath, options.signal));
  const arches = await chooseArches(stream, options);
  const { target, force, signal, jobs = 1, boots = jobs } = options;
  const turns = createTurns(jobs);
  await using writer = await createBundleWriter(target, { force, signal });
  // Verification deflates the same data again as the search for the recipe did.
  await using memo = await openMemo(writer.path);
  await using blocks = await openBlockMemo(writer.path);
  await using pool = workerPool(undefined, memo.shared);
  const streamBlob = { name: stream.stream, ...(await writer.addBytes(bytes)) };
  const lists = arches.map((arch) => ({ arch, artifacts: listArtifacts(stream, arch) }));
  const allowed = allowance(
    options.allowMissing ?? [],
    lists.flatMap(({ artifacts }) => artifacts),
  );
  const {
    folder,
    engine,
    cache,
    isoExternal = false,
    released: kinds = DEFAULT_RELEASED,
  } = options;
  if (options.download) {
    const { progress = silent } = options;
    const how = { ...options.download, folder, signal, progress };
    await fetchReleased(stream, arches, allowed, { ...how, kinds });
    const elsewhere = (options.containers?.names.length ?? 0) > 0;
    await fetchMetal(stream, arches, allowed, { ...how, elsewhere });
  }
  const context = {
    folder,
    engine,
    cache,
    isoExternal,
    base: options.base,
    containers: options.containers,
    writer,
    pool,
    kinds,
    blocks,
    allowed,
    signal,
    turns,
    stream: streamBlob,
  };
  const several = arches.length > 1;
  const progressOf = (arch: Arch) => forArch(options.progress ?? silent, arch, { several });

  const surveyed = await sideBySide(lists, 1, ({ arch, artifacts }) =>
    surveyArch(arch, artifacts, { ...context, progress: progressOf(arch) }),
  );
  const surveys = allOf(surveyed, arches, signal);
  const settled = await sideBySide(surveys, boots, (survey) =>
    dehydrateOne(survey, { ...context, progress: progressOf(survey.arch), several }),
  );
  try {
    const made = allOf(settled, arches, signal);
    const manifests: Descriptor[] = [];
    for (const { recipes } of made) manifests.push(await addManifest(writer, recipes));
    await addIndex(writer, manifests, made[0]?.recipes.release ?? stream.stream);
    const { path } = writer;
    const verified = await sideBySide(
      made,
      made.length,
      ({ recipes, metal, isoPath, filesBase }) => {
        const arch = recipes.architecture;
        const progress = progressOf(arch);
        const bases = { metal, isoPath, filesBase };
        return verifyBundle({ path, arch, ...bases, pool, turns, signal, progress });
      },
    );
    allOf(verified, arches, signal);
    await writer.commit();
    const architectures = made.map(({ recipes, engine: report }) => ({ recipes, engine: report }));
    return { bundle: target, architectures };
  } finally {
    for (const one of settled) {
      if (!one.ok) continue;
      await closeAll(one.value.metal);
      await one.value.filesBase?.close();
    }
  }
}

/** Reports the end of one architecture at once if others are still running. */
async function dehydrateOne(survey: Survey, context: ArchContext & { readonly several: boolean }) {
  const { arch: subject } = survey;
  const { several, progress, signal } = context;
  try {
    throwIfAborted(signal);
    const made = await dehydrateArch(survey, context);
    const covered = made.recipes.artifacts.length;
    const message = `${covered} of ${survey.artifacts.length} artifacts are covered`;
    if (several) progress({ type: 'note', subject, message });
    return made;
  } catch (error) {
    if (several && !(error instanceof CancelledError)) {
      progress({ type: 'failed', subject, message: headline(error) });
    }
    throw error;
  }
}

/** The values, or one error over all that failed. */
function allOf<T>(
  settled: readonly Settled<T>[],
  arches: readonly Arch[],
  signal: AbortSignal | undefined,
): T[] {
  const failures = arches.flatMap((architecture, index) => {
    const one = settled[index];
    return one && !one.ok ? [{ architecture, error: one.error }] : [];
  });
  const [first] = failures;
  if (first === undefined) return settled.map(valueOrThrow);
  if (arches.length === 1) throw first.error;
  if (failures.some(({ error }) => error instanceof CancelledError)) throwIfAborted(signal);
  const names = failures.map(({ architecture }) => architecture).join(', ');
  const good = arches.filter((arch) => !failures.some(({ architecture }) => architecture === arch));
  throw architecturesFailed(
    `the bundle was not written: ${failures.length} of ${arches.length} architectures failed: ${names}`,
    failures,
    good.length > 0 ? { hint: `repair the cause, or skip them: --arch ${good.join(',')}` } : {},
  );
}

async function chooseArches(stream: Stream, options: DehydrateOptions): Promise<readonly Arch[]> {
  const { arches } = options;
  // Whatever the order of the words: the same inputs give the same bytes.
  if (arches !== undefined && arches !== 'all') {
    return ARCHITECTURES.filter((arch) => arches.includes(arch));
  }
  const note = (message: string) =>
    options.progress?.({ type: 'note', subject: 'dehydrate', message });
  const unknown = Object.keys(stream.architectures).filter((name) => !isArch(name));
  if (unknown.length > 0) note(`skipped ${unknown.sort().join(', ')}: unknown architecture`);
  const known = ARCHITECTURES.filter((arch) => stream.architectures[arch] !== undefined);
  const everyOne = options.arches === 'all' || options.download !== undefined;
  if (everyOne && known.length > 0) return known;
  const found: Arch[] = [];
  for (const arch of known) {
    const iso = isoArtifact(listArtifacts(stream, arch), arch);
    if (await findReleased(options.folder, iso)) found.push(arch);
  }
  if (found.length === 0) {
    throw new UnsupportedError('the artifacts folder has no live ISO of the stream', {
      code: 'FILE_MISSING',
      context: { folder: options.folder, stream: stream.stream },
      hint: 'name the folder with the released files with --artifacts',
    });
  }
  const absent = known.filter((arch) => !found.includes(arch));
  if (absent.length > 0) {
    note(`skipped ${absent.join(', ')}: no ISO in ${options.folder} (see --arch)`);
  }
  return found;
}
