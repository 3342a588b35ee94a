import type { Bundle } from '../../../bundle/read.ts';
import type { RecipeArtifact } from '../../../bundle/recipes.ts';
import { createDeltaDecoder } from '../../../formats/delta/librsync.ts';
import { unzstd } from '../../../formats/delta/zstd-frame.ts';

/**
 * Maps offsets of a target to offsets of the base: copied bytes to their source, and new bytes to the bytes
 * that they replace, which follow the source of the previous copy. This finds the disk in containers that
 * no codec takes apart. Offsets ascend.
 */
export async function offsetsInBase(
  { recipe, name: file }: RecipeArtifact,
  bundle: Bundle,
  offsets: readonly number[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<number, number>> {
  const found = new Map<number, number>();
  if (recipe.kind !== 'delta') return found;
  const name = `the delta of ${file}`;
  const decoder = createDeltaDecoder(name);
  let position = 0;
  let next = 0;
  /** Offset in the base minus offset in the target, for the last copy. */
  let shift: number | undefined;
  const upTo = (end: number) => {
    for (let at = offsets[next]; at !== undefined && at < end; at = offsets[++next]) {
      if (shift !== undefined) found.set(at, at + shift);
    }
    position = end;
  };
  for await (const chunk of unzstd(name, bundle.readBlob(recipe.delta, signal), signal)) {
    for (const command of decoder.push(chunk)) {
      if (command.kind === 'copy') {
        shift = command.offset - position;
        upTo(position + command.length);
      } else {
        upTo(position + command.data.length);
      }
    }
  }
  return found;
}
