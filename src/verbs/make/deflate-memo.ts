import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { type DeflateMemo, openMemo } from '../../codec/deflate/memo.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';

/**
 * A memo of deflated data, if two images of an architecture may share it. Without a writable cache
 * everything still works, but more slowly.
 */
export async function memoFor(
  work: readonly { readonly artifacts: readonly RecipeArtifact[] }[],
  cache: MetalCache,
): Promise<DeflateMemo | undefined> {
  if (!work.some(({ artifacts }) => artifacts.filter(hasDeflated).length > 1)) return undefined;
  try {
    return await openMemo(await cache.scratch());
  } catch {
    return undefined;
  }
}

function hasDeflated({ recipe }: RecipeArtifact): boolean {
  return recipe.kind === 'container' && recipe.layers.some(({ requires }) => requires.length > 0);
}
