import type { CodeOf } from '../../core/error-codes.ts';
import { IntegrityError, throwIfAborted } from '../../core/errors.ts';
import type { Sink } from '../../core/io/sink.ts';
import { mapInOrder } from '../../core/threads/map-in-order.ts';
import type { CodecContext } from '../codec.ts';

/** Raw bytes that are read, or sent to a thread, together. */
export const BATCH_BYTES = 1 << 20;

export type Buf = Uint8Array<ArrayBuffer>;

/** A piece of the container, ready to be written. */
export type Piece =
  | { readonly kind: 'zeros'; readonly length: number }
  | {
      readonly kind: 'bytes';
      readonly bytes: Uint8Array;
      /** Goes to `spare` once the bytes are written: this is where nearly all memory would go. */
      readonly buffer?: Buf;
    };

/** Runs steps, several at a time, and writes their results in order. */
export async function writeSteps<S>(
  steps: AsyncIterable<S>,
  carryOut: (step: S) => Promise<Piece>,
  spare: Buf[],
  sink: Sink,
  { pool, signal }: CodecContext,
): Promise<void> {
  for await (const done of mapInOrder(steps, pool.depth, carryOut)) {
    throwIfAborted(signal);
    if (done.kind === 'zeros') await sink.zeros(done.length);
    else await sink.write(done.bytes);
    if (done.kind === 'bytes' && done.buffer) spare.push(done.buffer);
  }
}

/** Hands out `literals` piece by piece. */
export function literalTaker(literals: Uint8Array): (length: number) => Uint8Array {
  let taken = 0;
  return (length) => {
    taken += length;
    return literals.subarray(taken - length, taken);
  };
}

/** Like {@link literalTaker}, for the deflated sizes in the file. */
export function sizeTaker(sizes: Uint32Array): (count: number) => Uint32Array {
  let taken = 0;
  return (count) => {
    taken += count;
    return sizes.subarray(taken - count, taken);
  };
}

/** The error if sizes show that the recipe is for another disk (the caller checks the hash). */
export function otherPayload(
  what: string,
  code: CodeOf<'integrity'>,
  context: Readonly<Record<string, number | undefined>>,
): IntegrityError {
  return new IntegrityError(`${what} has a different size from the one in the recipe`, {
    code,
    context,
    hint: 'the delta or its base is damaged: pull or copy the bundle again, and use --no-cache',
  });
}
