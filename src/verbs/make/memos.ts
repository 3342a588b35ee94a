import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { type DeflateMemo, openMemo } from '../../codec/deflate/memo.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import { openBlockMemo } from '../../codec/released/memo.ts';
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

/** Likewise of the blocks of .xz files, whose architecture does not matter. */
export async function blockMemoFor(
  work: readonly { readonly artifacts: readonly RecipeArtifact[] }[],
  cache: MetalCache,
  { released, keyring }: { readonly released?: boolean | undefined; readonly keyring?: unknown },
): Promise<(BlockMemo & AsyncDisposable) | undefined> {
  const layered = work.flatMap(({ artifacts }) => artifacts.filter(hasBlocks));
  if (layered.length < 2 || (!released && keyring === undefined)) return undefined;
  try {
    return await openBlockMemo(await cache.scratch());
  } catch {
    return undefined;
  }
}

const hasBlocks = ({ released }: RecipeArtifact): boolean =>
  released.layer?.kind === 'xz' && 'blockSize' in released.layer;

function hasDeflated({ recipe }: RecipeArtifact): boolean {
  return recipe.kind === 'container' && recipe.layers.some(({ requires }) => requires.length > 0);
}
