import type { BaseName } from '../../images/platforms.ts';
import type { BlobRef } from '../bundle/blobs.ts';
import type { Bundle } from '../bundle/read.ts';
import type { RecipeArtifact } from '../bundle/recipes.ts';
import { applyDelta } from '../delta/apply.ts';
import { IntegrityError, throwIfAborted } from '../errors.ts';
import { copyBuffers, copyRange } from '../io/copy.ts';
import { hashingSink, type Sink } from '../io/sink.ts';
import type { Source } from '../io/source.ts';

export interface WriteArtifactOptions {
  readonly artifact: RecipeArtifact;
  readonly bundle: Bundle;
  readonly base: Source;
  readonly sink: Sink;
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the artifact done so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/** The base that an artifact is made from. */
export function baseOf({ recipe }: RecipeArtifact): BaseName {
  return recipe.kind === 'iso' ? 'iso' : recipe.base;
}

/**
 * Makes one artifact in one pass that also hashes it: resolves only if every byte went to `sink` and
 * the SHA-256 is the recorded one. Throws IntegrityError otherwise, naming a damaged delta blob
 * rather than the confusion that it caused.
 */
export async function writeArtifact(options: WriteArtifactOptions): Promise<void> {
  const { artifact, bundle, base, sink, signal, onBytes } = options;
  const { recipe, name } = artifact;
  if (recipe.kind !== 'delta') {
    await copyWhole(options);
    return;
  }
  const delta = fullyRead(bundle.readBlob(recipe.delta, signal));
  try {
    await applyDelta({
      base,
      delta: delta.chunks,
      name: `the delta of ${name}`,
      sink,
      expected: artifact,
      signal,
      onBytes,
    });
    await delta.rest();
  } catch (error) {
    throwIfAborted(signal);
    // A flipped bit shows as a broken zstd frame or a wrong copy: say what is really broken.
    await proveBlob(bundle, recipe.delta, signal);
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
 * Lets a consumer stop early and still makes the blob's final digest check happen, and its outcome
 * known even to a consumer who had all it wanted before and did not listen.
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

async function copyWhole(options: WriteArtifactOptions): Promise<void> {
  const { artifact, base, sink, signal, onBytes } = options;
  const out = hashingSink(sink, signal);
  await copyRange(base, 0, base.size, out, copyBuffers(), {
    signal,
    onBytes: () => onBytes?.(out.bytes),
  });
  const found = out.digest();
  if (out.bytes === artifact.size && found === artifact.sha256) return;
  throw new IntegrityError(`${artifact.name} does not have its SHA-256`, {
    code: 'TARGET_MISMATCH',
    context: {
      base: base.name,
      'expected sha256': artifact.sha256,
      'actual sha256': found,
      'expected size': artifact.size,
      'actual size': out.bytes,
    },
    hint: 'the base is damaged; fetch the bundle again',
  });
}
