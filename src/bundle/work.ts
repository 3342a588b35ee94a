import type { Arch } from '../core/arch.ts';
import { UnsupportedError } from '../core/errors.ts';
import type { BlobRef } from '../core/io/digest.ts';
import type { Progress } from '../core/progress/progress.ts';
import { suggestion } from '../core/text/suggest.ts';
import { type Bundle, recipesFor } from './read.ts';
import type { MissingArtifact, RecipeArtifact, Recipes } from './recipes.ts';
import { baseOf, blobsOf, blobsOfBase } from './recipes.ts';
import { listOf, namesOf, type Selected, type Selection, selectArtifacts } from './select.ts';
import { type Shard, takeShard, type Weighted } from './shard.ts';

/** The requested artifacts, architectures and shard. */
export interface WorkRequest {
  readonly bundle: Pick<Bundle, 'path' | 'recipes'>;
  /** With `all`, every architecture of the bundle that has a match; the others are skipped. */
  readonly arches: readonly Arch[] | 'all';
  readonly selection: Selection;
  /** Only this part of it; all of it if undefined. */
  readonly shard?: Shard | undefined;
}

/** The work for one architecture. */
export interface ArchWork {
  readonly recipes: Recipes;
  readonly artifacts: readonly RecipeArtifact[];
  /** Requested, but not in the bundle; the caller should fail because of them. */
  readonly uncovered: readonly MissingArtifact[];
}

export interface Work {
  readonly architectures: readonly ArchWork[];
  /** Architectures of the bundle without a match, and why. */
  readonly leftOut: ReadonlyMap<Arch, UnsupportedError>;
}

/**
 * Resolves a request. Throws UnsupportedError `ARCH_ABSENT`, the errors that {@link selectArtifacts}
 * throws, and with `all` architectures `PLATFORM_ABSENT` or `FORMAT_ABSENT` only if none of them has it.
 */
export function chooseWork(request: WorkRequest, progress: Progress): Work {
  const { bundle, arches, selection, shard } = request;
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
  return { architectures: shard === undefined ? wanted : partOf(wanted, shard), leftOut };
}

/** Artifacts that the bundle lacks belong to a shard, too, so that one shard reports them. */
function partOf(work: readonly ArchWork[], shard: Shard): ArchWork[] {
  const items = work.flatMap(({ recipes, artifacts, uncovered }) => [
    ...artifacts.map((item): Weighted<unknown> => ({ item, weight: effortOf(item, recipes) })),
    ...uncovered.map((item): Weighted<unknown> => ({ item, weight: 0 })),
  ]);
  const mine = new Set(takeShard(items, shard));
  return work.flatMap(({ recipes, artifacts, uncovered }) => {
    const part = {
      recipes,
      artifacts: artifacts.filter((artifact) => mine.has(artifact)),
      uncovered: uncovered.filter((artifact) => mine.has(artifact)),
    };
    return part.artifacts.length + part.uncovered.length > 0 ? [part] : [];
  });
}

/** The work in bytes: the compressed size, since zeros cost next to nothing. */
export function effortOf({ released, size }: RecipeArtifact, { iso }: Recipes): number {
  return released.size ?? Math.min(size, iso.size);
}

/** A name that no architecture knows is a mistake, even if `lenient`. */
function refuseAbsent(
  { platforms }: Selection,
  selected: readonly (Selected & { readonly recipes: Recipes })[],
): void {
  for (const name of platforms) {
    const errors = selected.flatMap(({ absent }) => absent.get(name) ?? []);
    const [first] = errors;
    if (first === undefined || errors.length < selected.length) continue;
    const names = new Set(selected.flatMap(({ recipes }) => [...namesOf(recipes)]));
    const choices = selected.map(({ recipes }) => `${recipes.architecture}: ${listOf(recipes)}`);
    throw new UnsupportedError(errors.map(({ message }) => message).join('; '), {
      code: first.code,
      context: { architectures: selected.map(({ recipes }) => recipes.architecture).join(', ') },
      hint: `${suggestion(name, names)}choose with --platform from: ${choices.join('; ')}`,
    });
  }
}

/** The blobs of the bundle that some of its artifacts need, each once. */
export function blobsFor(work: readonly Pick<ArchWork, 'recipes' | 'artifacts'>[]): BlobRef[] {
  const blobs = new Map<string, BlobRef>();
  for (const { recipes, artifacts } of work) {
    if (artifacts.length > 0 && recipes.iso.embedded) blobs.set(recipes.iso.sha256, recipes.iso);
    for (const artifact of artifacts) {
      const { signature } = artifact.released;
      const wanted = [
        ...blobsOfBase(recipes, baseOf(artifact)),
        ...blobsOf(artifact.recipe),
        ...(signature ? [signature] : []),
      ];
      for (const blob of wanted) blobs.set(blob.sha256, blob);
    }
  }
  return [...blobs.values()];
}
