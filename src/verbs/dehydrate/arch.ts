import type { BaseName, MetalVariant } from '../../../images/platforms.ts';
import {
  type MissingArtifact,
  RECIPES_VERSION,
  type RecipeArtifact,
  type Recipes,
} from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { closeAll, openSource, type Source } from '../../core/io/source.ts';
import type { Progress } from '../../core/progress/progress.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import { disksOf } from '../../engine/cache/provenance.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { type StreamArtifact, shortName } from '../../release/stream/artifacts.ts';
import { dehydrateArtifact } from './artifact.ts';
import {
  type Allowance,
  concernsArtifact,
  type Failure,
  reasonOf,
  refuseFailures,
} from './failures.ts';
import { takeIso } from './iso.ts';
import { type OpenBase, openBase } from './open-base.ts';
import type { Survey } from './survey.ts';

export interface ArchContext {
  readonly folder: string;
  readonly isoExternal: boolean;
  readonly writer: BundleWriter;
  readonly allowed: Allowance;
  readonly stream: BlobRef & { readonly name: string };
  readonly engine: MetalEngine;
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
}

/** Makes the recipes and deltas of one architecture; the bundle's manifests are the caller's. */
export async function dehydrateArch(
  { arch, artifacts, iso: found, wanted }: Survey,
  context: ArchContext,
): Promise<MadeArch> {
  const { folder, allowed, isoExternal } = context;
  const iso = await takeIso(found, { ...context, external: isoExternal });
  const { sources: metal, report } = await disksOf(iso, wanted, context);
  try {
    await using isoSource = await openSource(iso.path);
    const bases = new Map<BaseName, OpenBase>([['iso', openBase('iso', iso, isoSource, context)]]);
    for (const [variant, source] of metal) {
      const disk = wanted.get(variant);
      if (disk) bases.set(variant, openBase(variant, disk, source, context));
    }
    const { covered, failures } = await coverAll(artifacts, iso.artifact.release, bases, context);
    refuseFailures(failures, allowed);
    const recipes: Recipes = {
      schemaVersion: RECIPES_VERSION,
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
      bases: Object.fromEntries(wanted),
      artifacts: covered,
      missing: failures.map((failure) => missingOf(failure, folder)),
    };
    return { recipes, engine: report, isoPath: iso.path, metal };
  } catch (error) {
    await closeAll(metal);
    throw error;
  }
}

/** Goes through all artifacts even if one fails, so that a run names every one that does. */
async function coverAll(
  artifacts: readonly StreamArtifact[],
  release: string,
  bases: ReadonlyMap<BaseName, OpenBase>,
  { folder, writer, pool, signal, progress }: ArchContext,
): Promise<{ covered: RecipeArtifact[]; failures: Failure[] }> {
  const covered: RecipeArtifact[] = [];
  const failures: Failure[] = [];
  for (const artifact of artifacts) {
    const subject = shortName(artifact, artifacts);
    const context = { folder, release, bases, writer, pool, signal, progress, subject };
    try {
      covered.push(await dehydrateArtifact(artifact, context));
    } catch (error) {
      if (!concernsArtifact(error)) throw error;
      failures.push({ artifact, label: subject, error });
      progress({ type: 'note', subject, message: `not covered: ${error.message}` });
    }
  }
  return { covered, failures };
}

function missingOf(failure: Failure, folder: string): MissingArtifact {
  const { platform, format, file, release, name } = failure.artifact;
  return { platform, format, file, release, name, reason: reasonOf(failure, folder) };
}
