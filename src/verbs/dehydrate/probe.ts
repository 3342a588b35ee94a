import { detectContainer, HEAD_BYTES, TAIL_BYTES } from '../../../images/containers.ts';
import type { Container } from '../../../images/platforms.ts';
import type { Source } from '../../core/io/source.ts';

/** Passes chunks through and keeps enough of both ends to recognize the container. */
export function containerProbe(chunks: AsyncIterable<Uint8Array>): {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Call after `chunks` has ended. */
  container(): Container;
} {
  const head = Buffer.alloc(HEAD_BYTES);
  let headLength = 0;
  let tail: Buffer = Buffer.alloc(0);
  async function* watch() {
    for await (const chunk of chunks) {
      if (headLength < HEAD_BYTES) {
        const part = chunk.subarray(0, HEAD_BYTES - headLength);
        head.set(part, headLength);
        headLength += part.length;
      }
      tail =
        chunk.length >= TAIL_BYTES
          ? Buffer.from(chunk.subarray(chunk.length - TAIL_BYTES))
          : Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
      yield chunk;
    }
  }
  return {
    chunks: watch(),
    container: () => detectContainer(head.subarray(0, headLength), tail),
  };
}

/** The container format of an open file. */
export async function containerOf(source: Source): Promise<Container> {
  const head = new Uint8Array(Math.min(HEAD_BYTES, source.size));
  const tail = new Uint8Array(Math.min(TAIL_BYTES, source.size));
  await source.read(head, 0);
  await source.read(tail, source.size - tail.length);
  return detectContainer(head, tail);
}
