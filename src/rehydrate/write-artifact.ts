import type { BaseName } from '../../images/platforms.ts';
import type { BlobRef } from '../bundle/blobs.ts';
import type { Bundle } from '../bundle/read.ts';
import type { Recipe, RecipeArtifact, RecipeLayer } from '../bundle/recipes.ts';
import type { Encoder, ParsedRecipe } from '../codec/codec.ts';
import { MAX_RECIPE_BYTES, readRecipe } from '../codec/recipe-blob.ts';
import { codecOf } from '../codec/registry.ts';
import type { CodecPool } from '../codec/workers/pool.ts';
import { type ApplyOptions, applyDelta } from '../delta/apply.ts';
import { FormatError, IntegrityError, throwIfAborted } from '../errors.ts';
import { copyBuffers, copyRange } from '../io/copy.ts';
import { hashingSink, type Sink } from '../io/sink.ts';
import type { Source } from '../io/source.ts';

export interface WriteArtifactOptions {
  readonly artifact: RecipeArtifact;
  readonly bundle: Bundle;
  readonly base: Source;
  readonly sink: Sink;
  readonly pool: CodecPool;
  /** Hashes the payload of containers too, which the hash of the artifact makes unnecessary. */
  readonly audit?: boolean | undefined;
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
 * rather than the confusion that it caused; UnsupportedError `CODEC_UNKNOWN`.
 */
export async function writeArtifact(options: WriteArtifactOptions): Promise<void> {
  const { recipe } = options.artifact;
  if (recipe.kind === 'container') return writeContainer(options, recipe);
  if (recipe.kind !== 'delta') return copyWhole(options);
  const { artifact, sink, onBytes } = options;
  return patch(options, recipe.delta, { sink, expected: artifact, onBytes });
}

/** Patches the base with a delta of the bundle. */
async function patch(
  { artifact, bundle, base, signal }: WriteArtifactOptions,
  ref: BlobRef,
  into: Pick<ApplyOptions, 'sink' | 'expected' | 'onBytes'>,
): Promise<void> {
  const delta = fullyRead(bundle.readBlob(ref, signal));
  const name = `the delta of ${artifact.name}`;
  try {
    await applyDelta({ base, delta: delta.chunks, name, signal, ...into });
    await delta.rest();
  } catch (error) {
    throwIfAborted(signal);
    // A flipped bit shows as a broken zstd frame or a wrong copy: say what is really broken.
    await proveBlob(bundle, ref, signal);
    throw error;
  } finally {
    await delta.close();
  }
}

/** Patches the payload straight into the encoders of its layers: one pass, no temporary file. */
async function writeContainer(
  options: WriteArtifactOptions,
  { delta, payload, layers }: Recipe & { kind: 'container' },
): Promise<void> {
  const { artifact, sink, signal, onBytes, audit = false } = options;
  const parsed = await readLayers(options, layers);
  checkSizes(artifact, payload.size, parsed);
  const out = hashingSink(sink, signal);
  const encoders: Encoder[] = [];
  try {
    let outer: Sink = out;
    for (const layer of parsed) {
      const encoder = layer.encoder(outer, options);
      encoders.unshift(encoder);
      outer = encoder;
    }
    const expected = audit ? payload : { size: payload.size };
    await patch(options, delta, { sink: outer, expected, onBytes: () => onBytes?.(out.bytes) });
    for (const encoder of encoders) await encoder.finish();
    onBytes?.(out.bytes);
  } catch (error) {
    for (const encoder of encoders) await encoder.abort(error);
    throw error;
  }
  const found = out.digest();
  if (out.bytes !== artifact.size || found !== artifact.sha256) {
    throw wrongTarget(options, { sha256: found, size: out.bytes });
  }
}

/** Parses the recipes of all layers, outermost first, before a byte is written. */
async function readLayers(
  { artifact: { name }, bundle, signal }: WriteArtifactOptions,
  layers: readonly RecipeLayer[],
): Promise<ParsedRecipe[]> {
  const parsed: ParsedRecipe[] = [];
  for (const layer of layers) {
    const codec = codecOf(layer, name);
    const blob = await bundle.readWholeBlob(layer.recipe, MAX_RECIPE_BYTES, signal);
    parsed.push(codec.parse(await readRecipe(blob, `the ${codec.name} recipe of ${name}`, signal)));
  }
  return parsed;
}

/** Each layer has to take what the one inside it gives. */
function checkSizes(
  { name, size }: RecipeArtifact,
  payloadSize: number,
  parsed: readonly ParsedRecipe[],
): void {
  const wanted = [...parsed.map((layer) => layer.payloadSize)];
  const given = [...parsed.map(({ containerSize }) => containerSize), payloadSize];
  const wrong = [size, ...wanted].findIndex((bytes, index) => bytes !== given[index]);
  if (wrong === -1) return;
  throw new FormatError(`the layers of ${name} do not fit into each other`, {
    code: 'RECIPE_SIZES',
    context: {
      file: name,
      layer: wrong,
      expected: [size, ...wanted][wrong],
      found: given[wrong],
    },
    hint: 'fetch the bundle again; this recipe is damaged',
  });
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
  throw wrongTarget(options, { sha256: found, size: out.bytes });
}

function wrongTarget(
  { artifact, base }: WriteArtifactOptions,
  { sha256, size }: BlobRef,
): IntegrityError {
  return new IntegrityError(`${artifact.name} does not have its SHA-256`, {
    code: 'TARGET_MISMATCH',
    context: {
      base: base.name,
      'expected sha256': artifact.sha256,
      'actual sha256': sha256,
      'expected size': artifact.size,
      'actual size': size,
    },
    hint: 'the base is damaged; fetch the bundle again and use --no-cache',
  });
}
