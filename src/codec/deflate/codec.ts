import type { Codec } from '../codec.ts';
import { openDeflate } from './decode.ts';
import { deflateEncoder } from './encode.ts';
import { parseRecipe } from './recipe.ts';

/** Raw deflate streams, as in gzip files; the payload is the inflated data. */
export const deflate: Codec = {
  name: 'deflate',
  // A raw stream has no magic; its container says that it holds one.
  detect: () => false,
  open: (source, { signal }) => openDeflate(source, signal),
  parse(bytes) {
    const recipe = parseRecipe(bytes);
    return {
      payloadSize: recipe.payloadSize,
      containerSize: recipe.size,
      encoder: (sink, { signal }) => deflateEncoder(recipe, sink, signal),
    };
  },
};
