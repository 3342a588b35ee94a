import type { BaseName } from '../../images/platforms.ts';
import type { Arch } from '../arch.ts';
import { type Bundle, recipesFor } from '../bundle/read.ts';
import type { MissingArtifact, RecipeArtifact } from '../bundle/recipes.ts';
import type { MetalCache } from '../cache/metal-cache.ts';
import type { EngineReport, MetalEngine } from '../engine/engine.ts';
import type { Sha256 } from '../io/digest.ts';
import type { Sink } from '../io/sink.ts';
import { type Progress, silent } from '../progress.ts';
import { step } from '../step.ts';
import { type ArtifactId, type Attestation, shortName } from '../stream/artifacts.ts';
import { openBases } from './bases.ts';
import { deliverFiles, deliverStream, type Outcome } from './deliver.ts';
import { type Output, planFiles } from './output.ts';
import { type Selection, selectArtifacts } from './select.ts';
import { baseOf, writeArtifact } from './write-artifact.ts';

export interface RehydrateOptions {
  readonly bundle: Bundle;
  readonly arch: Arch;
  readonly selection: Selection;
  /** A function is asked once the number of artifacts is known. */
  readonly output: Output | ((count: number) => Promise<Output>);
  /** Replace files that are in the way. */
  readonly force?: boolean | undefined;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** A copy of the ISO outside the bundle. */
  readonly isoPath?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
  /** Called as soon as each artifact is complete and proven. */
  readonly onResult?: ((result: Rehydrated) => void) | undefined;
}

/** One artifact that is there and proven. */
export interface Rehydrated extends ArtifactId, Outcome {
  readonly architecture: Arch;
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha256: Sha256;
  readonly attestation: Attestation;
}

export interface RehydrateReport {
  readonly artifacts: readonly Rehydrated[];
  /** Asked for with `all` but not in the bundle; the caller should fail over them. */
  readonly uncovered: readonly MissingArtifact[];
  /** Undefined if no boot was needed. */
  readonly engine: EngineReport | undefined;
}

/**
 * Makes the selected artifacts, each in one pass that patches, writes and hashes. One boot of the ISO
 * serves them all; only what they need is read or made. Files appear complete and proven or not at
 * all; those finished before a failure stay.
 */
export async function rehydrateArtifacts(options: RehydrateOptions): Promise<RehydrateReport> {
  const { bundle, arch, signal, progress = silent, force = false, onResult } = options;
  const recipes = recipesFor(bundle, arch);
  const { artifacts, uncovered, notes } = selectArtifacts(recipes, options.selection);
  for (const message of notes) progress({ type: 'note', subject: arch, message });
  const output =
    typeof options.output === 'function' ? await options.output(artifacts.length) : options.output;
  const planned =
    output.kind === 'stream' ? [] : await planFiles(artifacts, output, { force, signal });
  const present = new Set(planned.filter((file) => file.present).map((file) => file.artifact));
  const needed = new Set<BaseName>();
  for (const artifact of artifacts) if (!present.has(artifact)) needed.add(baseOf(artifact));
  await using bases = await openBases(needed, { ...options, recipes, progress });

  const results: Rehydrated[] = [];
  const finished = (artifact: RecipeArtifact, outcome: Outcome) => {
    const { platform, format, file, name, size, sha256, attestation } = artifact;
    const id = { architecture: arch, platform, format, file };
    const result = { ...id, name, size, sha256, attestation, ...outcome };
    results.push(result);
    onResult?.(result);
  };
  const make = async (artifact: RecipeArtifact, sink: Sink) => {
    const subject = shortName(artifact, recipes.artifacts);
    const base = bases.get(baseOf(artifact));
    const { seconds } = await step(
      progress,
      { subject, phase: artifact.recipe.kind === 'delta' ? 'patch' : 'copy', total: artifact.size },
      (onBytes) => writeArtifact({ artifact, bundle, base, sink, signal, onBytes }),
    );
    return seconds;
  };
  const job = { make, finished, bases, force, signal };
  if (output.kind === 'stream') await deliverStream(artifacts, output.stream, job);
  else await deliverFiles(planned, job);
  return { artifacts: results, uncovered, engine: bases.report };
}
