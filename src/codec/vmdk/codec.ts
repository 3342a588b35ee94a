import { UnsupportedError } from '../../core/errors.ts';
import type { Codec } from '../codec.ts';
import { implementationsOf } from '../deflate/params.ts';
import { decodeVmdk } from './decode.ts';
import { isSequential, vmdkEncoder } from './encode.ts';
import { diskSize } from './layout.ts';
import { parseRecipe, serializeRecipe } from './recipe.ts';

/** StreamOptimized VMDKs; the payload is the raw disk. */
export const vmdk: Codec = {
  name: 'vmdk',
  detect: (head) => Buffer.from(head.subarray(0, 4)).toString('latin1') === 'KDMV',
  async open(source, context) {
    const decoding = await decodeVmdk(source, context);
    return {
      payload: { kind: 'disk', size: decoding.size, runs: () => decoding.disk() },
      async recipe() {
        const recipe = await decoding.recipe();
        if (!isSequential(recipe)) {
          throw new UnsupportedError(`${source.name} stores its grains in a different order`, {
            code: 'VMDK_GRAIN_ORDER',
            context: { file: source.name },
          });
        }
        return { bytes: serializeRecipe(recipe), requires: implementationsOf(recipe.codecs) };
      },
    };
  },
  parse(bytes) {
    const recipe = parseRecipe(bytes);
    return {
      payloadSize: diskSize(recipe),
      containerSize: recipe.fileSize,
      encoder: (sink, context) => vmdkEncoder(recipe, sink, context),
    };
  },
};
