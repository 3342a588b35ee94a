import { FormatError } from '../../core/errors.ts';
import { sliceSource } from '../../core/io/slice-source.ts';
import type { Source } from '../../core/io/source.ts';
import { type Codec, HEAD_BYTES } from '../codec.ts';
import { describeAround } from './around.ts';
import { spliceEncoder } from './encode.ts';
import { isGzip, readGzip } from './gzip.ts';
import { parseSplice, serializeSplice, sizeOf } from './recipe.ts';
import { isTar, readTar, type TarMember } from './tar.ts';

/** Archives, of which the largest member is the payload; and gzip files, whose deflate stream is. */
export const splice: Codec = {
  name: 'splice',
  detect: (head) => isTar(head) || isGzip(head),
  async open(source, { signal }) {
    const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
    await source.read(head, 0);
    const zipped = isGzip(head);
    const payload = zipped ? await readGzip(source) : await largestMember(source, signal);
    const inside = sliceSource(source, payload.start, payload.length);
    return {
      payload: { kind: 'source', source: inside, ...(zipped ? { next: 'deflate' } : {}) },
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

async function largestMember(source: Source, signal: AbortSignal | undefined): Promise<TarMember> {
  const members = await readTar(source, signal);
  const largest = members.reduce((a, b) => (b.length > a.length ? b : a), { start: 0, length: 0 });
  if (largest.length > 0) return largest;
  throw new FormatError(`${source.name} is an empty archive`, {
    code: 'ARCHIVE_EMPTY',
    context: { file: source.name },
  });
}
