import type { Hashing } from '../../core/io/digest.ts';
import { type FilePiece, hashPieces } from '../../core/io/hash-file.ts';
import type { Source } from '../../core/io/source.ts';
import type { Codec, CodecContext } from '../codec.ts';
import { implementationsOf } from '../deflate/params.ts';
import { decodeQcow2 } from './decode.ts';
import { qcow2Encoder } from './encode.ts';
import { isQcow2 } from './header.ts';
import { computeLayout } from './layout.ts';
import { parseRecipe, serializeRecipe } from './recipe.ts';

/** Qcow2 as `qemu-img convert` writes it, with or without `-c`; the payload is the raw disk. */
export const qcow2: Codec = {
  name: 'qcow2',
  detect: isQcow2,
  async open(source, context) {
    const decoding = await decodeQcow2(source, context);
    return {
      payload: {
        kind: 'disk',
        size: decoding.size,
        runs: () => decoding.disk(),
        hash: decoding.pieces && hashOf(source, decoding.pieces, context),
      },
      async recipe() {
        const recipe = await decoding.recipe();
        return { bytes: serializeRecipe(recipe), requires: implementationsOf(recipe.codecs) };
      },
    };
  },
  parse(bytes) {
    const recipe = parseRecipe(bytes);
    computeLayout(recipe); // throws if it makes no sense
    return {
      payloadSize: recipe.diskSize,
      containerSize: recipe.fileSize,
      encoder: (sink, context) => qcow2Encoder(recipe, sink, context),
    };
  },
};

function hashOf(source: Source, pieces: () => Iterable<FilePiece>, { signal }: CodecContext) {
  return (hashing: Hashing) => hashPieces(source, pieces(), hashing, { signal });
}
