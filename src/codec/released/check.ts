import type { Sink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { asBuffer, zeroChunks } from '../../core/io/zero.ts';
import type { Encoder } from '../codec.ts';
import type { ReleasedContext } from './context.ts';
import { releasedEncoder } from './encode.ts';
import type { ReleasedLayer } from './layer.ts';
import { isOtherTarget } from './other-target.ts';

/** Compresses a target and compares that with the released file. */
export interface ReleasedChecker extends Encoder {
  /** The layer that makes the file: known once `finish` has resolved. */
  readonly agreed: ReleasedLayer | undefined;
}

/**
 * Finds out which of a few layers makes the released file `source` from the target that is written: each compresses
 * it until it differs. If none matches, that is not an error: `agreed` stays undefined, and further writes cost nothing.
 * Throws what {@link releasedEncoder} throws otherwise, such as CancelledError.
 */
export function releasedChecker(
  candidates: readonly ReleasedLayer[],
  source: Source,
  context: ReleasedContext = {},
): ReleasedChecker {
  let alive = candidates.map((layer) => {
    const file = comparing(source);
    return { layer, file, encoder: releasedEncoder(layer, file, context) };
  });
  let agreed: ReleasedLayer | undefined;

  async function all(step: (encoder: Encoder) => Promise<void>): Promise<void> {
    const outcomes = await Promise.allSettled(
      alive.map(async (one) => {
        try {
          await step(one.encoder);
          return one;
        } catch (error) {
          await one.encoder.abort(error);
          // A layer for a different size is simply not the right one.
          if (!(error instanceof Differs || isOtherTarget(error))) throw error;
          return undefined;
        }
      }),
    );
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) {
      await Promise.all(alive.map(({ encoder }) => encoder.abort(failed.reason)));
      throw failed.reason;
    }
    alive = outcomes.flatMap((outcome) =>
      outcome.status === 'fulfilled' && outcome.value ? [outcome.value] : [],
    );
  }

  return {
    write: (chunk) => all((encoder) => encoder.write(chunk)),
    zeros: (length) => all((encoder) => encoder.zeros(length)),
    async finish() {
      await all((encoder) => encoder.finish());
      agreed = alive.find(({ file }) => file.whole)?.layer;
    },
    async abort(reason) {
      await Promise.all(alive.map(({ encoder }) => encoder.abort(reason)));
    },
    get agreed() {
      return agreed;
    },
  };
}

/** The compressed data is not the file. */
class Differs extends Error {}

/** Compares the written bytes with `source`. Throws {@link Differs}. */
function comparing(source: Source): Sink & { readonly whole: boolean } {
  let at = 0;
  let wanted = Buffer.alloc(0);
  async function write(chunk: Uint8Array): Promise<void> {
    if (at + chunk.length > source.size) throw new Differs();
    if (wanted.length < chunk.length) wanted = Buffer.alloc(chunk.length);
    const part = wanted.subarray(0, chunk.length);
    await source.read(part, at);
    if (!part.equals(asBuffer(chunk))) throw new Differs();
    at += chunk.length;
  }
  return {
    write,
    async zeros(length) {
      for (const chunk of zeroChunks(length)) await write(chunk);
    },
    /** Whether that was all of it. */
    get whole() {
      return at === source.size;
    },
  };
}
