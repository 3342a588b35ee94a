import type { BaseName } from '../../../images/platforms.ts';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf, blobsOf, type RecipeArtifact } from '../../bundle/recipes.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { Arch } from '../../core/arch.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { type ArtifactId, type Attestation, shortName } from '../../release/stream/artifacts.ts';
import { openBases } from './bases.ts';
import type { Job, Outcome } from './deliver.ts';
import type { ArchPlan } from './plan.ts';
import { writeArtifact } from './write-artifact.ts';

/** One artifact that is there and proven. */
export interface Rehydrated extends ArtifactId, Outcome {
  readonly architecture: Arch;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: Sha256;
  readonly attestation: Attestation;
}

export interface ArchContext {
  readonly bundle: Bundle;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  readonly pool: CodecPool;
  readonly force: boolean;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
  /** Called as soon as each artifact is complete and proven. */
  readonly onResult: (result: Rehydrated) => void;
  /** Takes the artifacts to where they go. */
  readonly deliver: (job: Job) => Promise<void>;
}

/**
 * Makes the planned artifacts of one architecture, each in one pass that patches, writes and hashes.
 * One boot of the ISO serves them all; only what they need is read or made. Resolves to what the
 * engine says of that boot, undefined if none was needed.
 */
export async function rehydrateArch(
  { recipes, artifacts, files, isoPath }: ArchPlan,
  context: ArchContext,
): Promise<EngineReport | undefined> {
  const { bundle, pool, force, signal, progress, onResult, deliver } = context;
  const present = new Set(files.filter((file) => file.present).map((file) => file.artifact));
  const needed = new Set<BaseName>();
  for (const artifact of artifacts) if (!present.has(artifact)) needed.add(baseOf(artifact));
  await using bases = await openBases(needed, { ...context, recipes, isoPath });

  const finished = (artifact: RecipeArtifact, outcome: Outcome) => {
    const { platform, format, file, name, size, sha256, attestation } = artifact;
    const id = { architecture: recipes.architecture, platform, format, file };
    onResult({ ...id, name, size, sha256, attestation, ...outcome });
  };
  const make = async (artifact: RecipeArtifact, sink: Sink) => {
    const subject = shortName(artifact, recipes.artifacts);
    const base = bases.get(baseOf(artifact));
    const { seconds } = await step(
      progress,
      {
        subject,
        phase: blobsOf(artifact.recipe).length > 0 ? 'patch' : 'copy',
        total: artifact.size,
      },
      (onBytes) => writeArtifact({ artifact, bundle, base, sink, pool, signal, onBytes }),
    );
    return seconds;
  };
  await deliver({ make, finished, bases, force, signal });
  return bases.report;
}
