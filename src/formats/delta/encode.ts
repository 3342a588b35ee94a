import { throwIfAborted } from '../../core/errors.ts';
import { type Hashing, hashingHere, type Sha256 } from '../../core/io/digest.ts';
import { bytesToRuns, type DiskRun } from '../../core/io/disk-run.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { type BaseIndex, indexBase } from './base-index.ts';
import { createEmitter } from './emitter.ts';
import { createMatcher } from './matcher.ts';
import { zstdSink } from './zstd-frame.ts';

export interface EncodeRunsOptions {
  readonly base: Source;
  /** From {@link indexBase}; pass it when several targets share a base. */
  readonly index?: BaseIndex | undefined;
  readonly target: AsyncIterable<DiskRun>;
  /** Receives the delta: librsync's format inside one zstd frame. */
  readonly sink: Sink;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the target done so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

export interface EncodeOptions extends Omit<EncodeRunsOptions, 'target'> {
  readonly target: AsyncIterable<Uint8Array>;
  /** Hashes the target; in this thread unless given. */
  readonly hashing?: Hashing | undefined;
}

export interface EncodeRunsResult {
  readonly targetSize: number;
  readonly copies: number;
  readonly literalBytes: number;
}

export interface EncodeResult extends EncodeRunsResult {
  readonly targetSha256: Sha256;
}

/**
 * Makes a delta such that `zstd -d | rdiff patch BASE - TARGET` gives the target. One pass over the target;
 * memory does not grow with base or target. Deterministic: neither the split of the target into runs nor
 * the form of zeros (runs or bytes) changes the delta.
 */
export async function encodeRuns(options: EncodeRunsOptions): Promise<EncodeRunsResult> {
  const { base, target, signal, onBytes } = options;
  const index = options.index ?? (await indexBase(base, { signal }));
  const zstd = zstdSink(options.sink);
  try {
    const emitter = createEmitter(zstd, index.zeroRun);
    const matcher = createMatcher(base, index, emitter);
    let targetSize = 0;
    for await (const run of target) {
      throwIfAborted(signal);
      if (run.kind === 'zeros') matcher.zeros(run.length);
      else matcher.push(run.bytes);
      targetSize += run.kind === 'zeros' ? run.length : run.bytes.length;
      await emitter.flush();
      onBytes?.(targetSize);
    }
    matcher.finish();
    const stats = await emitter.finish();
    await zstd.finish();
    return { targetSize, ...stats };
  } finally {
    zstd.abort();
  }
}

/** Like {@link encodeRuns}, for a target in bytes, which is hashed on the way. */
export async function encodeDelta(options: EncodeOptions): Promise<EncodeResult> {
  const { hashing = hashingHere(options.signal) } = options;
  async function* hashed() {
    for await (const chunk of options.target) {
      await hashing.update(chunk);
      yield chunk;
    }
  }
  const made = await encodeRuns({ ...options, target: bytesToRuns(hashed()) });
  return { ...made, targetSha256: await hashing.digest() };
}
