import { FormatError } from '../core/errors.ts';
import type { Sink } from '../core/io/sink.ts';
import { unzstdAtOnce, zstdSink } from '../formats/delta/zstd-frame.ts';

/** Of a codec's recipe before compression: the largest has 16 MiB of literals and a byte per grain. */
export const MAX_RECIPE_BYTES = 64 << 20;

/** Writes a serialised recipe as one zstd frame. */
export async function writeRecipe(recipe: Uint8Array, sink: Sink): Promise<void> {
  const zstd = zstdSink(sink);
  try {
    await zstd.write(recipe);
    await zstd.finish();
  } finally {
    zstd.abort();
  }
}

/** Reads it back. Throws FormatError `DELTA_ZSTD`, or `TOO_LARGE`. */
export function readRecipe(blob: Uint8Array, name: string): Buffer {
  const recipe = unzstdAtOnce(name, blob, MAX_RECIPE_BYTES);
  if (recipe !== undefined) return recipe;
  throw new FormatError(`${name} unpacks to more than ${MAX_RECIPE_BYTES} bytes`, {
    code: 'TOO_LARGE',
    context: { recipe: name, limit: MAX_RECIPE_BYTES },
    hint: 'this recipe is damaged: pull or copy the bundle again',
  });
}
