import type { Arch } from '../arch.ts';
import { type Bundle, recipesFor } from '../bundle/read.ts';
import type { MissingArtifact, RecipeArtifact, Recipes } from '../bundle/recipes.ts';
import { codecOf } from '../codec/registry.ts';
import { UnsupportedError } from '../errors.ts';
import type { Progress } from '../progress.ts';
import { matchIsos } from './iso.ts';
import { type Output, type PlannedFile, planFiles, refuseClashes } from './output.ts';
import { listOf, type Selected, type Selection, selectArtifacts } from './select.ts';

/** What a user asks for, of which architectures, and where it shall go. */
export interface PlanRequest {
  readonly bundle: Bundle;
  /** `all` is whatever the bundle holds; those that lack what is asked for are left out then. */
  readonly arches: readonly Arch[] | 'all';
  readonly selection: Selection;
  /** A function is asked once the number of artifacts is known. */
  readonly output: Output | ((count: number) => Promise<Output>);
  /** Replace files that are in the way. */
  readonly force?: boolean | undefined;
  /** Copies of the ISO outside the bundle, one per architecture at most. */
  readonly isoPaths?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is to be made of one architecture. */
export interface ArchPlan {
  readonly recipes: Recipes;
  readonly artifacts: readonly RecipeArtifact[];
  /** Asked for, but not in the bundle; the caller should fail over them. */
  readonly uncovered: readonly MissingArtifact[];
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
 * UnsupportedError `ARCH_ABSENT` or `CODEC_UNKNOWN`, what {@link selectArtifacts} and {@link planFiles} throw, and with
 * `all` architectures `PLATFORM_ABSENT` or `FORMAT_ABSENT` only if none of them has it.
 */
export async function planRehydration(request: PlanRequest, progress: Progress): Promise<Plan> {
  const { bundle, arches, selection, force = false, signal } = request;
  const chosen =
    arches === 'all'
      ? bundle.recipes
      : [...new Set(arches)].map((arch) => recipesFor(bundle, arch));
  const lenient = arches === 'all' && chosen.length > 1;
  const selected = chosen.map((recipes) => ({
    recipes,
    ...selectArtifacts(recipes, selection, { lenient }),
  }));
  refuseAbsent(selection, selected);

  const wanted = selected.filter((one) => one.artifacts.length + one.uncovered.length > 0);
  const leftOut = new Map<Arch, UnsupportedError>();
  for (const one of selected) {
    const { architecture } = one.recipes;
    const note = (message: string) => progress({ type: 'note', subject: architecture, message });
    one.notes.forEach(note);
    for (const { message } of one.absent.values()) note(message);
    const [why] = one.absent.values();
    if (!wanted.includes(one) && why) leftOut.set(architecture, why);
  }

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
  const architectures = wanted.map(({ recipes, artifacts, uncovered }) => ({
    recipes,
    artifacts,
    uncovered,
    files: files.filter(({ artifact }) => artifacts.includes(artifact)),
    isoPath: isos.get(recipes.architecture),
  }));
  return { output, architectures, leftOut };
}

/** Said now rather than after minutes of booting. */
function refuseUnknownCodecs(artifacts: readonly RecipeArtifact[]): void {
  for (const { recipe, name } of artifacts) {
    if (recipe.kind === 'container') for (const layer of recipe.layers) codecOf(layer, name);
  }
}

/** A name that means nothing anywhere is a mistake, however lenient one is. */
function refuseAbsent(
  { platforms }: Selection,
  selected: readonly (Selected & { readonly recipes: Recipes })[],
): void {
  for (const name of platforms) {
    const errors = selected.flatMap(({ absent }) => absent.get(name) ?? []);
    const [first] = errors;
    if (first === undefined || errors.length < selected.length) continue;
    const choices = selected.map(({ recipes }) => `${recipes.architecture}: ${listOf(recipes)}`);
    throw new UnsupportedError(errors.map(({ message }) => message).join('; '), {
      code: first.code,
      context: { architectures: selected.map(({ recipes }) => recipes.architecture).join(', ') },
      hint: `choose with --platform from: ${choices.join('; ')}`,
    });
  }
}
