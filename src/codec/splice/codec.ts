import { FormatError } from '../../errors.ts';
import { sliceSource } from '../../io/slice-source.ts';
import type { Codec } from '../codec.ts';
import { describeAround } from './around.ts';
import { spliceEncoder } from './encode.ts';
import { parseSplice, serializeSplice, sizeOf } from './recipe.ts';
import { isTar, readTar } from './tar.ts';

/** Archives, of which the largest member is the payload. */
export const splice: Codec = {
  name: 'splice',
  detect: isTar,
  async open(source, { signal }) {
    const members = await readTar(source, signal);
    const payload = members.reduce((a, b) => (b.length > a.length ? b : a), {
      start: 0,
      length: 0,
    });
    if (payload.length === 0) {
      throw new FormatError(`${source.name} is an empty archive`, {
        code: 'ARCHIVE_EMPTY',
        context: { file: source.name },
      });
    }
    return {
      payload: { kind: 'source', source: sliceSource(source, payload.start, payload.length) },
      async recipe() {
        const recipe = await describeAround(source, payload, signal);
        return { bytes: serializeSplice(recipe), requires: [] };
      },
    };
  },
  parse(bytes) {
    const recipe = parseSplice(bytes);
    return {
      payloadSize: sizeOf(recipe, 'payload'),
      containerSize: sizeOf(recipe),
      encoder: (sink, { signal }) => spliceEncoder(recipe, sink, signal),
    };
  },
};
