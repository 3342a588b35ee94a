import type { Recipes } from '../../bundle/recipes.ts';
import type { BlobRef } from '../../core/io/digest.ts';

/** The sizes of a bundle's contents for an architecture, in bytes; a blob that artifacts share counts once. */
export function compositionOf({ iso, artifacts }: Recipes): {
  iso: number;
  deltas: number;
  recipes: number;
} {
  const deltas = new Map<string, number>();
  const layers = new Map<string, number>();
  const put = (map: Map<string, number>, { sha256, size }: BlobRef) => map.set(sha256, size);
  for (const { recipe } of artifacts) {
    if (recipe.kind === 'delta' || recipe.kind === 'container') put(deltas, recipe.delta);
    if (recipe.kind === 'container') for (const layer of recipe.layers) put(layers, layer.recipe);
  }
  const sum = (map: Map<string, number>) => [...map.values()].reduce((a, b) => a + b, 0);
  return { iso: iso.embedded ? iso.size : 0, deltas: sum(deltas), recipes: sum(layers) };
}
