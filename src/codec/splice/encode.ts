import { FormatError, throwIfAborted } from '../../core/errors.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { Encoder } from '../codec.ts';
import { literalTaker } from '../segments/write.ts';
import type { SpliceRecipe } from './recipe.ts';
import { sizeOf } from './recipe.ts';

/** Passes the payload on and puts the rest around it. */
export function spliceEncoder(
  recipe: SpliceRecipe,
  sink: Sink,
  signal: AbortSignal | undefined,
): Encoder {
  const { segments, literals } = recipe;
  const size = sizeOf(recipe, 'payload');
  const literal = literalTaker(literals);
  let next = 0;
  /** Of the current payload segment. */
  let left = 0;
  let taken = 0;

  /** Writes everything that precedes the next byte of the payload. */
  async function advance(): Promise<void> {
    for (; left === 0; next++) {
      throwIfAborted(signal);
      const segment = segments[next];
      if (segment === undefined) return;
      if (segment.kind === 'payload') left = segment.length;
      else if (segment.kind === 'zeros') await sink.zeros(segment.length);
      else await sink.write(literal(segment.length));
    }
  }

  async function pass(length: number, put: (start: number, end: number) => Promise<void>) {
    for (let done = 0; done < length; ) {
      await advance();
      const part = Math.min(left, length - done);
      if (part === 0) throw otherSize(taken + length - done);
      await put(done, done + part);
      left -= part;
      done += part;
      taken += part;
    }
  }

  function otherSize(actual: number): FormatError {
    return new FormatError(`a payload of ${actual} bytes instead of ${size}`, {
      code: 'SPLICE_SIZE',
      context: { size, actual },
    });
  }

  return {
    write: (chunk) => pass(chunk.length, (start, end) => sink.write(chunk.subarray(start, end))),
    zeros: (length) => pass(length, (start, end) => sink.zeros(end - start)),
    async finish() {
      await advance();
      if (left > 0) throw otherSize(taken);
    },
    async abort() {},
  };
}
