import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { type ArchWork, chooseWork, type WorkRequest } from '../../bundle/work.ts';
import { codecOf } from '../../codec/registry.ts';
import type { Arch } from '../../core/arch.ts';
import type { UnsupportedError } from '../../core/errors.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { matchIsos } from './iso.ts';
import { type Output, type PlannedFile, planFiles, refuseClashes } from './output.ts';

/** What a user asks for, of which architectures, and where it shall go. */
export interface PlanRequest extends WorkRequest {
  /** A function is asked once the number of artifacts is known. */
  readonly output: Output | ((count: number) => Promise<Output>);
  /** Replace files that are in the way. */
  readonly force?: boolean | undefined;
  /** Copies of the ISO outside the bundle, one per architecture at most. */
  readonly isoPaths?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is to be made of one architecture. */
export interface ArchPlan extends ArchWork {
  /** Where each artifact goes; empty for a stream. */
  readonly files: readonly PlannedFile[];
  readonly isoPath: string | undefined;
}

export interface Plan {
  readonly output: Output;
  readonly architectures: readonly ArchPlan[];
  /** Architectures of the bundle that have nothing of what is asked for, and why. */
  readonly leftOut: ReadonlyMap<Arch, UnsupportedError>;
}

/**
 * Decides what is made and where it goes, for all architectures, before any work is done. Throws
 * UnsupportedError `CODEC_UNKNOWN`, and what {@link chooseWork} and {@link planFiles} throw.
 */
export async function planRehydration(request: PlanRequest, progress: Progress): Promise<Plan> {
  const { force = false, signal } = request;
  const { architectures: wanted, leftOut } = chooseWork(request, progress);
  const everything = wanted.flatMap(({ artifacts }) => artifacts);
  refuseUnknownCodecs(everything);
  const output =
    typeof request.output === 'function' ? await request.output(everything.length) : request.output;
  if (output.kind === 'stream') refuseClashes(everything.map(({ name }) => name));
  const files =
    output.kind === 'stream' || everything.length === 0
      ? []
      : await planFiles(everything, output, { force, signal });
  const isos = await matchIsos(request.isoPaths ?? [], wanted);
  const architectures = wanted.map((work) => ({
    ...work,
    files: files.filter(({ artifact }) => work.artifacts.includes(artifact)),
    isoPath: isos.get(work.recipes.architecture),
  }));
  return { output, architectures, leftOut };
}

/** Said now rather than after minutes of booting. */
function refuseUnknownCodecs(artifacts: readonly RecipeArtifact[]): void {
  for (const { recipe, name } of artifacts) {
    if (recipe.kind === 'container') for (const layer of recipe.layers) codecOf(layer, name);
  }
}
