import { setImmediate as breathe } from 'node:timers/promises';
import { FormatError, IntegrityError, throwIfAborted } from '../../errors.ts';
import type { Sink } from '../../io/sink.ts';
import { ZEROS } from '../../io/zero.ts';
import type { Encoder } from '../codec.ts';
import { deflateStream } from './deflater.ts';
import type { DeflateRecipe } from './recipe.ts';

/** Deflates the payload. One stream is one thread's work; zeros have to be deflated as well. */
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
      if (made > size) throw otherPayload();
      await sink.write(piece);
    }
  }
  async function write(chunk: Uint8Array): Promise<void> {
    throwIfAborted(signal);
    taken += chunk.length;
    await pass((await stream).push(chunk));
  }
  const otherPayload = () =>
    new IntegrityError('what is deflated has another size now: it is not that of the recipe', {
      code: 'DEFLATE_OTHER_PAYLOAD',
      context: { expected: size, actual: made },
      hint: 'the delta or its base is damaged; fetch the bundle again and use --no-cache',
    });

  return {
    write,
    async zeros(length) {
      for (let left = length; left > 0; left -= ZEROS.length) {
        await write(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left));
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
      if (made !== size) throw otherPayload();
    },
    async abort() {},
  };
}
