import type { BaseName, MetalVariant } from '../../../images/platforms.ts';
import {
  FILES_VERSION,
  type MissingArtifact,
  RECIPES_VERSION,
  type RecipeArtifact,
  type Recipes,
} from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { throwIfAborted } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { closeAll, openSource, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { disksOf } from '../../engine/cache/provenance.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import { type StreamArtifact, shortName } from '../../release/stream/artifacts.ts';
import { dehydrateArtifact } from './artifact.ts';
import {
  type Allowance,
  concernsArtifact,
  type Failure,
  reasonOf,
  refuseFailures,
} from './failures.ts';
import { type MadeFiles, makeFiles } from './files.ts';
import { takeIso } from './iso.ts';
import { type OpenBase, openBase } from './open-base.ts';
import { releasedMetal } from './released-metal.ts';
import type { Survey } from './survey.ts';
import type { WatchOptions } from './watch-layer.ts';

export interface ArchContext extends Pick<WatchOptions, 'kinds' | 'blocks'> {
  readonly folder: string;
  readonly isoExternal: boolean;
  readonly writer: BundleWriter;
  readonly allowed: Allowance;
  readonly stream: BlobRef & { readonly name: string };
  readonly engine: MetalEngine;
  /** Further sources of the base `files`. */
  readonly containers: Containers | undefined;
  readonly cache: MetalCache;
  readonly pool: CodecPool;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
}

export interface MadeArch {
  readonly recipes: Recipes;
  readonly engine: EngineReport;
  readonly isoPath: string;
  /** Open, for verification; the caller closes them. */
  readonly metal: Map<MetalVariant, Source>;
  /** Likewise, where the disks are made from it. */
  readonly filesBase: Source | undefined;
}

/** Makes the recipes and deltas of one architecture; the bundle's manifests are the caller's. */
export async function dehydrateArch(
  { arch, artifacts, iso: found, wanted: promised, road }: Survey,
  context: ArchContext,
): Promise<MadeArch> {
  const { folder, allowed, isoExternal } = context;
  const iso = await takeIso(found, { ...context, external: isoExternal });
  const { live } = iso;
  const made = live
    ? { wanted: promised, ...(await disksOf({ ...iso, live }, promised, context)) }
    : { report: AS_RELEASED, ...(await releasedMetal(artifacts, context)) };
  const { sources: metal, report, wanted } = made;
  try {
    await using isoSource = await openSource(iso.path, context.signal);
    const bases = new Map<BaseName, OpenBase>([['iso', openBase('iso', iso, isoSource, context)]]);
    for (const [variant, source] of metal) {
      const disk = wanted.get(variant);
      if (disk) bases.set(variant, openBase(variant, disk, source, context));
    }
    const { covered, failures } = await coverAll(artifacts, iso.artifact.release, bases, context);
    refuseFailures(failures, allowed);
    const fromFiles =
      road === 'files' ? await makeFiles(metal, { ...context, arch, root: iso.root }) : undefined;
    const recipes: Recipes = {
      schemaVersion: fromFiles ? FILES_VERSION : RECIPES_VERSION,
      architecture: arch,
      release: iso.artifact.release,
      stream: context.stream,
      iso: {
        name: iso.artifact.name,
        location: iso.artifact.location,
        sha256: iso.sha256,
        size: iso.size,
        embedded: !isoExternal,
      },
      bases: basesOf(wanted, fromFiles),
      files: fromFiles?.files,
      artifacts: covered,
      missing: failures.map((failure) => missingOf(failure, folder)),
    };
    const filesBase = fromFiles?.base;
    return { recipes, engine: report, isoPath: iso.path, metal, filesBase };
  } catch (error) {
    await closeAll(metal);
    throw error;
  }
}

const AS_RELEASED: EngineReport = {
  engine: 'files',
  detail: 'the released metal images, which the ISO has no osmet to make',
  seconds: {},
};

function basesOf(
  wanted: ReadonlyMap<MetalVariant, BlobRef>,
  fromFiles: MadeFiles | undefined,
): Recipes['bases'] {
  const bases = [...wanted].map(([variant, { sha256, size }]) => {
    const delta = fromFiles?.deltas.get(variant);
    return [variant, { sha256, size, ...(delta ? { delta } : {}) }] as const;
  });
  return Object.fromEntries(bases);
}

/** How many artifacts of an architecture are worked on at a time. */
const ARTIFACTS_AT_A_TIME = 1;

/**
 * Goes through all artifacts even if one fails, so that a run reports every failure. An error that concerns
 * more than one artifact (disk full, xz missing) ends the run.
 */
async function coverAll(
  artifacts: readonly StreamArtifact[],
  release: string,
  bases: ReadonlyMap<BaseName, OpenBase>,
  { folder, writer, pool, signal: outer, progress, kinds, blocks }: ArchContext,
): Promise<{ covered: RecipeArtifact[]; failures: Failure[] }> {
  const stop = new AbortController();
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
  const settled = await sideBySide(artifacts, ARTIFACTS_AT_A_TIME, async (artifact) => {
    throwIfAborted(signal);
    const subject = shortName(artifact, artifacts);
    const common = { folder, release, bases, writer, pool, kinds, blocks };
    const context = { ...common, signal, progress, subject };
    try {
      return { covered: [await dehydrateArtifact(artifact, context)], failures: [] };
    } catch (error) {
      if (!concernsArtifact(error, artifact, folder)) {
        stop.abort(error);
        throw error;
      }
      progress({ type: 'note', subject, message: `not covered: ${error.message}` });
      return { covered: [], failures: [{ artifact, label: subject, error }] };
    }
  });
  throwIfAborted(outer);
  if (stop.signal.aborted) throw stop.signal.reason;
  const outcomes = settled.map(valueOrThrow);
  return {
    covered: outcomes.flatMap(({ covered }) => covered),
    failures: outcomes.flatMap(({ failures }) => failures),
  };
}

function missingOf(failure: Failure, folder: string): MissingArtifact {
  const { platform, format, file, release, name } = failure.artifact;
  return { platform, format, file, release, name, reason: reasonOf(failure, folder) };
}
