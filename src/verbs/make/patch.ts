import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { throwIfAborted } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import type { Sink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { TargetMismatchError } from '../../core/io/target-mismatch.ts';
import { type ApplyOptions, applyDelta } from '../../formats/delta/apply.ts';

export interface WriteArtifactOptions {
  readonly artifact: RecipeArtifact;
  readonly bundle: Bundle;
  readonly base: Source;
  readonly sink: Sink;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the artifact done so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/**
 * Patches the base with a delta of the bundle. If a blob is damaged, the error says so instead of reporting
 * a symptom.
 */
export async function patch(
  { artifact, bundle, base, signal }: WriteArtifactOptions,
  ref: BlobRef,
  into: Pick<ApplyOptions, 'sink' | 'hashing' | 'expected' | 'onBytes'>,
): Promise<void> {
  const delta = fullyRead(bundle.readBlob(ref, signal));
  const name = `the delta of ${artifact.name}`;
  try {
    await applyDelta({ base, delta: delta.chunks, name, signal, ...into });
    await delta.rest();
  } catch (error) {
    throwIfAborted(signal);
    // A flipped bit shows as a broken zstd frame or a wrong copy: report the damaged blob instead.
    await proveBlob(bundle, ref, signal);
    throw error;
  } finally {
    await delta.close();
  }
}

/** Reads a blob to its end, which throws if it is damaged. */
async function proveBlob(bundle: Bundle, ref: BlobRef, signal: AbortSignal | undefined) {
  for await (const _chunk of bundle.readBlob(ref, signal));
}

/**
 * Runs the blob's final digest check even if the consumer stops early, and reports its outcome to that
 * consumer too.
 */
function fullyRead(blob: AsyncIterable<Uint8Array>) {
  const iterator = blob[Symbol.asyncIterator]();
  let failure: { readonly error: unknown } | undefined;
  const next = async () => {
    try {
      return await iterator.next();
    } catch (error) {
      failure = { error };
      throw error;
    }
  };
  return {
    chunks: { [Symbol.asyncIterator]: () => ({ next }) },
    async rest() {
      if (failure) throw failure.error;
      while (!(await next()).done);
    },
    async close() {
      await iterator.return?.();
    },
  };
}

/** The artifact is complete, but wrong. */
export function wrongTarget(
  { artifact, base }: WriteArtifactOptions,
  found: BlobRef,
): TargetMismatchError {
  return new TargetMismatchError(`${artifact.name} does not have its SHA-256`, {
    expected: artifact,
    found,
    context: { base: base.name },
    hint: 'the base is damaged: pull or copy the bundle again, and use --no-cache',
  });
}
