import { setImmediate as breathe } from 'node:timers/promises';
import { FormatError, throwIfAborted } from '../../core/errors.ts';
import type { Sink } from '../../core/io/sink.ts';
import { zeroChunks } from '../../core/io/zero.ts';
import type { Encoder } from '../codec.ts';
import { otherPayload } from '../segments/write.ts';
import { deflateStream } from './deflater.ts';
import type { DeflateRecipe } from './recipe.ts';

/** Deflates the payload. A stream is made by one thread; zeros must be deflated too. */
export function deflateEncoder(
  { params, payloadSize, size }: DeflateRecipe,
  sink: Sink,
  signal: AbortSignal | undefined,
): Encoder {
  const stream = deflateStream(params);
  stream.catch(() => {}); // thrown by the first write
  let taken = 0;
  let made = 0;

  async function pass(pieces: Generator<Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      made += piece.length;
      if (made > size) throw otherSize();
      await sink.write(piece);
    }
  }
  async function write(chunk: Uint8Array): Promise<void> {
    throwIfAborted(signal);
    taken += chunk.length;
    await pass((await stream).push(chunk));
  }
  const otherSize = () => {
    const context = { expected: size, actual: made };
    return otherPayload('what is deflated', 'DEFLATE_OTHER_PAYLOAD', context);
  };

  return {
    write,
    async zeros(length) {
      for (const chunk of zeroChunks(length)) {
        await write(chunk);
        await breathe();
      }
    },
    async finish() {
      if (taken !== payloadSize) {
        throw new FormatError(`the payload ends at ${taken} of ${payloadSize} bytes`, {
          code: 'SHORT_READ',
          context: { size: payloadSize, actual: taken },
        });
      }
      await pass((await stream).finish());
      if (made !== size) throw otherSize();
    },
    async abort() {},
  };
}
