import { throwIfAborted } from '../errors.ts';
import { createHasher, type Sha256 } from '../io/digest.ts';
import type { Sink } from '../io/sink.ts';
import type { Source } from '../io/source.ts';
import { type BaseIndex, indexBase } from './base-index.ts';
import { createEmitter } from './emitter.ts';
import { createMatcher } from './matcher.ts';
import { zstdSink } from './zstd-frame.ts';

export interface EncodeOptions {
  readonly base: Source;
  /** From {@link indexBase}; pass it when several targets share a base. */
  readonly index?: BaseIndex | undefined;
  readonly target: AsyncIterable<Uint8Array>;
  /** Receives the delta: librsync's format inside one zstd frame. */
  readonly sink: Sink;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the target done so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

export interface EncodeResult {
  readonly targetSize: number;
  readonly targetSha256: Sha256;
  readonly copies: number;
  readonly literalBytes: number;
}

/**
 * Makes a delta such that `zstd -d | rdiff patch BASE - TARGET` gives the target. One pass over the
 * target, which is hashed meanwhile; memory does not grow with base or target. Deterministic.
 */
export async function encodeDelta(options: EncodeOptions): Promise<EncodeResult> {
  const { base, target, signal, onBytes } = options;
  const index = options.index ?? (await indexBase(base, { signal }));
  const zstd = zstdSink(options.sink);
  try {
    const emitter = createEmitter(zstd, index.zeroRun);
    const matcher = createMatcher(base, index, emitter);
    const hasher = createHasher();
    for await (const chunk of target) {
      throwIfAborted(signal);
      hasher.update(chunk);
      matcher.push(chunk);
      await emitter.flush();
      onBytes?.(hasher.bytes);
    }
    matcher.finish();
    const stats = await emitter.finish();
    await zstd.finish();
    return { targetSize: hasher.bytes, targetSha256: hasher.digest(), ...stats };
  } finally {
    zstd.abort();
  }
}
