import type { BaseName } from '../../../images/platforms.ts';
import { type NotPulled, notPulled, refuseNotPulled } from '../../bundle/pulled.ts';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf, type RecipeArtifact } from '../../bundle/recipes.ts';
import { isUntrusted, refuseUntrusted } from '../../bundle/trust.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import type { Arch } from '../../core/arch.ts';
import { CancelledError, throwIfAborted } from '../../core/errors.ts';
import { headline } from '../../core/failures.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import type { Turns } from '../../core/threads/turns.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import type { Keys } from '../../release/download/signature.ts';
import { type ArtifactId, type Attestation, shortName } from '../../release/stream/artifacts.ts';
import { checkMakeable, isMakeable, type MadeFile } from '../make/made-file.ts';
import { openBases } from './bases.ts';
import { deliver, type Outcome } from './deliver.ts';
import type { ArchPlan, Planned } from './plan.ts';
import type { StreamOutput } from './stream-output.ts';

/** One artifact that exists and is proved. */
export interface Rehydrated extends ArtifactId, Outcome {
  readonly architecture: Arch;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: Sha256;
  readonly attestation: Attestation;
}

/** One artifact that could not be made. */
export interface FailedArtifact {
  readonly artifact: RecipeArtifact;
  /** Short name, for people. */
  readonly label: string;
  readonly error: unknown;
}

export interface ArchContext {
  readonly bundle: Bundle;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** Sources of the base `files`, instead of the ISO. */
  readonly containers?: Containers | undefined;
  readonly pool: CodecPool;
  /** Blocks of .xz files that were compressed before, in this run. */
  readonly blocks?: BlockMemo | undefined;
  /** Whose turn it is among the artifacts of all architectures. */
  readonly turns: Turns;
  readonly force: boolean;
  /** Check the signatures of the release. */
  readonly keyring?: Keys | undefined;
  /** The stream to write to, if not to files. */
  readonly stream: StreamOutput | undefined;
  /** Resolves when it is this architecture's turn to write to the stream. */
  readonly turn: Promise<void>;
  readonly signal: AbortSignal | undefined;
  readonly progress: Progress;
  /** Called for each artifact that is complete and proven, in the order of the plan. */
  readonly onResult: (result: Rehydrated) => void;
}

export interface ArchResult {
  readonly failed: readonly FailedArtifact[];
  /** The engine's report of its run; undefined if no run was needed. */
  readonly engine: EngineReport | undefined;
}

/**
 * Makes the planned artifacts of one architecture, each in one pass that patches, writes and hashes. One
 * boot of the ISO serves them all, and only the bases that they need are read or made. One that fails does
 * not stop the others, except in a stream. Throws if nothing can be made, and CancelledError.
 */
export async function rehydrateArch(plan: ArchPlan, context: ArchContext): Promise<ArchResult> {
  const { recipes, isoPath } = plan;
  const { stream, signal, progress, turns } = context;
  const absent = await notPulled(context.bundle, recipes);
  await using bases = await openBases(neededBases(plan, absent, context.bundle), {
    ...context,
    recipes,
    isoPath,
  });
  if (stream) await context.turn;

  const broken = new AbortController();
  const deliverOne = async (planned: Planned): Promise<Outcome | FailedArtifact> => {
    throwIfAborted(signal);
    const { file } = planned;
    const { artifact } = file;
    const subject = shortName(artifact, recipes.artifacts);
    try {
      refuseUntrusted(context.bundle, recipes, artifact);
      if (!planned.present) {
        checkMakeable(file);
        refuseNotPulled(context.bundle, recipes, artifact, absent);
      }
      return await deliver(planned, { ...context, bases, subject });
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      if (plan.files.length > 1) progress({ type: 'failed', subject, message: headline(error) });
      return { artifact, label: subject, error };
    }
  };

  const failed: FailedArtifact[] = [];
  // A stream takes one after the other.
  const atATime = stream ? 1 : plan.files.length;
  const settled = await sideBySide(plan.files, atATime, async (planned, earlier) => {
    if (broken.signal.aborted) return;
    const made = await turns.run(() => deliverOne(planned));
    if ('error' in made && stream) {
      broken.abort();
      stream.breakOff(made.error);
    }
    // In the order of the plan, so that two runs report the same.
    await earlier;
    if ('error' in made) failed.push(made);
    else context.onResult(resultOf(planned.file, recipes.architecture, made));
  });
  settled.map(valueOrThrow);
  return { failed, engine: bases.report };
}

function neededBases(
  { files, recipes }: ArchPlan,
  absent: NotPulled,
  bundle: Bundle,
): ReadonlySet<BaseName> {
  const wanted = files.filter(
    // Do not boot anything for artifacts that cannot be made.
    ({ file, present }) =>
      !present &&
      isMakeable(file) &&
      !isUntrusted(bundle, recipes, file.artifact) &&
      !absent.artifacts.has(file.artifact),
  );
  return new Set(wanted.map(({ file }) => baseOf(file.artifact)));
}

function resultOf(made: MadeFile, architecture: Arch, outcome: Outcome): Rehydrated {
  const { platform, format, file } = made.artifact;
  const { name, size = 0, sha256, attestation } = made;
  return { architecture, platform, format, file, name, size, sha256, attestation, ...outcome };
}
