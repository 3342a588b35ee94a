import type { Bundle } from '../../../bundle/read.ts';
import type { RecipeArtifact } from '../../../bundle/recipes.ts';
import { createDeltaDecoder } from '../../../formats/delta/librsync.ts';
import { unzstd } from '../../../formats/delta/zstd-frame.ts';

/**
 * Which offset of the base some offsets of a target stand for: where a copy takes them from; new bytes
 * stand for what they replace, which is what follows the copy before them. For targets that are no
 * container that is taken apart, this finds the disk in them. Offsets ascend.
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
  /** Of the base, minus the offset in the target, as the last copy had it. */
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
