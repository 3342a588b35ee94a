import type { BaseName } from '../../images/platforms.ts';
import type { Arch } from '../arch.ts';
import type { BlobRef } from '../bundle/blobs.ts';
import {
  type DerivedBase,
  type MissingArtifact,
  RECIPES_VERSION,
  type RecipeArtifact,
  type Recipes,
} from '../bundle/recipes.ts';
import type { BundleWriter } from '../bundle/write.ts';
import type { MetalCache } from '../cache/metal-cache.ts';
import { recallRun, rememberRun } from '../cache/provenance.ts';
import { closeAll, type MetalSources, osmetOf, regenerate } from '../cache/regenerate.ts';
import { indexBase } from '../delta/base-index.ts';
import type { EngineReport, MetalEngine } from '../engine/engine.ts';
import type { Sha256 } from '../io/digest.ts';
import { openSource, type Source } from '../io/source.ts';
import type { MetalVariant } from '../iso/live-iso.ts';
import type { Progress } from '../progress.ts';
import { step } from '../step.ts';
import { type StreamArtifact, shortName } from '../stream/artifacts.ts';
import { dehydrateArtifact, fileMissing, type OpenBase, refuseOtherRelease } from './artifact.ts';
import {
  type Allowance,
  concernsArtifact,
  type Failure,
  reasonOf,
  refuseFailures,
} from './failures.ts';
import { isoArtifact, type ReleasedIso, takeIso } from './iso.ts';
import { findReleased } from './released.ts';

export interface ArchContext {
  readonly folder: string;
  readonly isoExternal: boolean;
  readonly writer: BundleWriter;
  readonly allowed: Allowance;
  readonly stream: BlobRef & { readonly name: string };
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
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
  arch: Arch,
  artifacts: readonly StreamArtifact[],
  context: ArchContext,
): Promise<MadeArch> {
  const { folder, writer, allowed, signal, progress, isoExternal } = context;
  const isoFile = isoArtifact(artifacts, arch);
  const iso = await takeIso(isoFile, {
    arch,
    folder,
    writer,
    external: isoExternal,
    signal,
    progress,
  });
  const wanted = promisedDisks(iso);
  // Minutes of booting are not spent before what a look at the folder can tell.
  const derivable = new Set<string>([...wanted.values()].map(({ sha256 }) => sha256));
  refuseFailures(await foreseeFailures(artifacts, isoFile, derivable, folder), allowed);

  const { sources: metal, report } = await metalOf(iso, wanted, context);
  try {
    await using isoSource = await openSource(iso.path);
    const bases = new Map<BaseName, OpenBase>([['iso', openBase('iso', iso, isoSource, context)]]);
    for (const [variant, source] of metal) {
      const disk = wanted.get(variant);
      if (disk) bases.set(variant, openBase(variant, disk, source, context));
    }
    const { covered, failures } = await coverAll(artifacts, isoFile.release, bases, context);
    refuseFailures(failures, allowed);
    const recipes: Recipes = {
      schemaVersion: RECIPES_VERSION,
      architecture: arch,
      release: isoFile.release,
      stream: context.stream,
      iso: {
        name: isoFile.name,
        location: isoFile.location,
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

/** By booting the ISO, unless the cache holds what booting this very ISO has made before. */
async function metalOf(
  iso: ReleasedIso,
  wanted: ReadonlyMap<MetalVariant, DerivedBase>,
  context: ArchContext,
): Promise<{ sources: MetalSources; report: EngineReport }> {
  const recalled = await recallRun(context.cache, iso.sha256, wanted, context);
  if (recalled) return recalled;
  const made = await regenerate(wanted, { ...context, iso: iso.live });
  await rememberRun(context.cache, iso.sha256, wanted, made.report);
  return made;
}

/** Goes through all artifacts even if one fails, so that a run names every one that does. */
async function coverAll(
  artifacts: readonly StreamArtifact[],
  release: string,
  bases: ReadonlyMap<BaseName, OpenBase>,
  { folder, writer, signal, progress }: ArchContext,
): Promise<{ covered: RecipeArtifact[]; failures: Failure[] }> {
  const covered: RecipeArtifact[] = [];
  const failures: Failure[] = [];
  for (const artifact of artifacts) {
    const subject = shortName(artifact, artifacts);
    const context = { folder, release, bases, writer, signal, progress, subject };
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

/** The disks that the ISO's osmets promise: metal always, metal4k where there is one. */
function promisedDisks({ live }: ReleasedIso) {
  const variants = (['metal', 'metal4k'] as const).filter(
    (variant) => variant === 'metal' || live.osmets.some((osmet) => osmet.variant === variant),
  );
  return new Map(
    variants.map((variant) => {
      const { checksum, diskSize } = osmetOf(live, variant);
      return [variant, { sha256: checksum as Sha256, size: diskSize }] as const;
    }),
  );
}

/** What a look at names and releases tells, without reading any file. */
async function foreseeFailures(
  artifacts: readonly StreamArtifact[],
  iso: StreamArtifact,
  derivable: ReadonlySet<string>,
  folder: string,
): Promise<Failure[]> {
  const failures: Failure[] = [];
  for (const artifact of artifacts) {
    const label = shortName(artifact, artifacts);
    try {
      refuseOtherRelease(artifact, iso.release);
      const needsNoFile = artifact.sha256 !== undefined && derivable.has(artifact.sha256);
      if (!needsNoFile && !(await findReleased(folder, artifact))) throw fileMissing(artifact);
    } catch (error) {
      if (!concernsArtifact(error)) throw error;
      failures.push({ artifact, label, error });
    }
  }
  return failures;
}

function missingOf(failure: Failure, folder: string): MissingArtifact {
  const { platform, format, file, release, name } = failure.artifact;
  return { platform, format, file, release, name, reason: reasonOf(failure, folder) };
}

/** Indexed when first asked for; its artifacts share the index. */
function openBase(
  name: BaseName,
  { sha256, size }: BlobRef,
  source: Source,
  { signal, progress }: ArchContext,
): OpenBase {
  let index: ReturnType<typeof indexBase> | undefined;
  return {
    name,
    sha256,
    size,
    source,
    index() {
      index ??= step(progress, { subject: name, phase: 'index', total: size }, (onBytes) =>
        indexBase(source, { signal, onBytes }),
      ).then(({ result }) => result);
      return index;
    },
  };
}
