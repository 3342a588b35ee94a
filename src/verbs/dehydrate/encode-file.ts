import type { Container } from '../../../images/platforms.ts';
import type { Recipe, RecipeLayer, RecipePayload } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import { HEAD_BYTES, MAX_LAYERS } from '../../codec/codec.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { writeRecipe } from '../../codec/recipe-blob.ts';
import { FormatError, UnsupportedError } from '../../core/errors.ts';
import type { BlobRef, Hashing, Sha256 } from '../../core/io/digest.ts';
import { type DiskRun, runsToSink, sourceRuns } from '../../core/io/disk-run.ts';
import { hashSource } from '../../core/io/hash-file.ts';
import { hashingSink } from '../../core/io/sink.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import type { Phase, Progress } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { encodeDelta, encodeRuns } from '../../formats/delta/encode.ts';
import { type ReleasedFile, readReleasedOnce } from '../../release/files/released.ts';
import type { OpenBase } from './open-base.ts';
import { containerOf, containerProbe } from './probe.ts';
import { detectCodec, type TakenApart, takeApart } from './take-apart.ts';

/** Hashing a larger payload, mostly zeros, would take minutes and prove nothing that is not proved. */
const MAX_HASHED_PAYLOAD = 16 * 2 ** 30;

export interface EncodeFileOptions {
  readonly file: ReleasedFile;
  readonly base: OpenBase;
  readonly writer: BundleWriter;
  readonly pool: CodecPool;
  readonly signal?: AbortSignal | undefined;
  readonly progress: Progress;
  /** For progress. */
  readonly subject: string;
  /** A file that cannot be taken apart is an UnsupportedError `NOT_APART`. */
  readonly onlyApart?: boolean | undefined;
  /** Throws if the file is not the released one; called before anything of it is in the bundle. */
  readonly prove: (found: FoundFile) => void;
}

/** What a file turned out to be. */
export interface FoundFile {
  /** As it lies there. */
  readonly file: BlobRef;
  /** Uncompressed. */
  readonly target: BlobRef;
}

export interface EncodedFile extends FoundFile {
  readonly recipe: Recipe;
  readonly container: Container;
}

/**
 * Makes recipe and blobs of a released file. One that is compressed is read once: if it begins like a container
 * that a codec knows, it is unpacked and then taken apart, else matched while it is read. One that is not is
 * taken apart or matched where it lies, while a thread reads it for its hash.
 */
export async function encodeFile(options: EncodeFileOptions): Promise<EncodedFile> {
  if (options.file.compression === 'none') return encodeInPlace(options);
  const reader = readReleasedOnce(options.file, options.signal);
  const probe = containerProbe(reader.target);
  const { head, chunks } = await peek(probe.chunks);
  const ends = { ...reader, container: probe.container };
  const known = detectCodec(head) !== undefined;
  return (known ? encodeUnpacked : encodeStream)(options, { ...ends, target: chunks });
}

interface Reading {
  readonly target: AsyncIterable<Uint8Array>;
  fileDigest(target: BlobRef): BlobRef;
  container(): Container;
}

async function encodeStream(options: EncodeFileOptions, reading: Reading): Promise<EncodedFile> {
  if (options.onlyApart) throw notApart(options);
  const { base, writer, signal, pool, prove } = options;
  const index = await base.index();
  const { blob, result } = await writer.addStream(async (sink) => {
    using hashing = pool.hashing(base.size, signal);
    const source = { base: base.source, index, target: reading.target };
    const { targetSize, targetSha256 } = await inPhase(options, 'match', (onBytes) =>
      encodeDelta({ ...source, hashing, sink, signal, onBytes }),
    );
    const target = { size: targetSize, sha256: targetSha256 };
    const found = { file: reading.fileDigest(target), target };
    prove(found);
    return found;
  });
  const recipe = { kind: 'delta', base: base.name, delta: blob } as const;
  return { ...result, recipe, container: reading.container() };
}

async function encodeUnpacked(options: EncodeFileOptions, reading: Reading): Promise<EncodedFile> {
  const { base, writer, pool, signal, file, prove } = options;
  const { source, result: target } = await writer.addScratch((scratch) =>
    inPhase(options, 'read', async (onBytes) => {
      using out = hashingSink(scratch, pool.hashing(base.size, signal));
      for await (const chunk of reading.target) {
        await out.write(chunk);
        onBytes(out.bytes);
      }
      return { sha256: await out.digest(), size: out.bytes };
    }),
  );
  await using unpacked = source;
  const found = { target, file: reading.fileDigest(target) };
  prove(found);
  const named = { ...unpacked, name: file.path };
  const recipe = await encodeSource({ ...options, proven: async () => {} }, named);
  return { ...found, recipe, container: reading.container() };
}

async function encodeInPlace(options: EncodeFileOptions): Promise<EncodedFile> {
  const { file, pool, prove } = options;
  await using source = await openSource(file.path);
  const container = await containerOf(source);
  // What fails does not leave a thread behind that reads the file.
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  using hashing = pool.hashing(source.size, signal);
  const proof = hashSource(source, { hashing, signal }).then((sha256) => {
    const target = { sha256, size: source.size };
    const found = { target, file: target };
    prove(found);
    return found;
  });
  proof.catch(() => {}); // thrown to who asks for it
  try {
    const recipe = await encodeSource({ ...options, proven: () => proof }, source);
    return { ...(await proof), recipe, container };
  } finally {
    stop.abort();
    await proof.catch(() => {});
  }
}

interface EncodeSourceOptions extends EncodeFileOptions {
  /** Throws if the file is not the released one; to be asked before anything of it is in the bundle. */
  readonly proven: () => Promise<unknown>;
}

async function encodeSource(options: EncodeSourceOptions, source: Source): Promise<Recipe> {
  const { file, subject, progress, proven } = options;
  for (let maxLayers = MAX_LAYERS; maxLayers > 0; ) {
    let depth = 0;
    try {
      return await encodeLayers(options, source, maxLayers, (layers) => {
        depth = layers;
      });
    } catch (error) {
      if (error instanceof UnsupportedError && error.code === 'NOT_APART') throw error;
      // If the file is the released one, whatever a codec has against it is no fault of the release.
      if (!(error instanceof UnsupportedError || error instanceof FormatError)) throw error;
      await proven();
      const reason = error.message.replaceAll(`${file.path} `, 'it ');
      progress({ type: 'note', subject, message: `not taken apart: ${reason}` });
      maxLayers = depth - 1;
    }
  }
  return encodeWhole(options, source);
}

function notApart({ file }: EncodeFileOptions): UnsupportedError {
  return new UnsupportedError(`${file.path} cannot be taken apart`, { code: 'NOT_APART' });
}

async function encodeWhole(options: EncodeSourceOptions, source: Source): Promise<Recipe> {
  if (options.onlyApart) throw notApart(options);
  const { base, writer, signal, proven } = options;
  const index = await base.index();
  const { blob } = await writer.addStream((sink) =>
    inPhase(options, 'match', async (onBytes) => {
      const target = sourceRuns(source, signal);
      await encodeRuns({ base: base.source, index, target, sink, signal, onBytes });
      await proven();
    }),
  );
  return { kind: 'delta', base: base.name, delta: blob };
}

/** Throws FormatError or UnsupportedError if a codec does not like what it finds. */
async function encodeLayers(
  options: EncodeSourceOptions,
  file: Source,
  maxLayers: number,
  onLayers: (count: number) => void,
): Promise<Recipe> {
  const { writer, signal, pool } = options;
  const kept: Source[] = [];
  const keep = async (runs: AsyncIterable<DiskRun>) => {
    const { source } = await writer.addScratch((sink) => runsToSink(runs, sink));
    kept.push(source);
    return { ...source, name: file.name };
  };
  try {
    const apart = await takeApart(file, { pool, signal, maxLayers, keep, onLayers });
    return await (apart.layers.length === 0
      ? encodeWhole(options, file)
      : encodeApart(options, apart));
  } finally {
    for (const source of kept) await source.close();
  }
}

async function encodeApart(
  options: EncodeSourceOptions,
  { layers, payload }: TakenApart,
): Promise<Recipe> {
  const { writer, signal, base, pool, proven } = options;
  const { blob, result } = await writer.addStream(async (sink) => {
    using hashing =
      payload.size <= MAX_HASHED_PAYLOAD ? pool.hashing(payload.size, signal) : undefined;
    // Zeros and all, that takes longer than all else: begin at once, if it need not go along.
    const apart = hashing && payload.hash?.(hashing);
    apart?.catch(() => {}); // thrown below, unless something else is
    const target = apart ? payload.runs() : hashed(payload.runs(), hashing);
    try {
      const index = await base.index();
      await inPhase(options, 'match', (onBytes) =>
        encodeRuns({ base: base.source, index, target, sink, signal, onBytes }),
      );
    } catch (error) {
      await apart?.catch(() => {}); // it reads the file, which will be closed
      throw error;
    }
    await apart;
    const sha256 = await hashing?.digest();
    await proven();
    // A codec may give up as late as here: then nothing of this is in the bundle yet.
    return { sha256, recipes: await recipesOf(layers) };
  });
  const described: RecipeLayer[] = [];
  for (const { codec, requires, bytes } of result.recipes) {
    const recipe = await writer.addStream((sink) => writeRecipe(bytes, sink));
    described.push({ codec, requires, recipe: recipe.blob });
  }
  return {
    kind: 'container',
    base: base.name,
    delta: blob,
    payload: payloadOf(payload.size, result.sha256),
    layers: described,
  };
}

const payloadOf = (size: number, sha256: Sha256 | undefined): RecipePayload =>
  sha256 === undefined ? { size } : { size, sha256 };

async function recipesOf(layers: TakenApart['layers']) {
  const recipes = [];
  for (const { codec, opened } of layers) {
    recipes.push({ codec: codec.name, ...(await opened.recipe()) });
  }
  return recipes;
}

async function* hashed(
  runs: AsyncIterable<DiskRun>,
  hashing: Hashing | undefined,
): AsyncGenerator<DiskRun> {
  for await (const run of runs) {
    if (run.kind === 'data') await hashing?.update(run.bytes);
    else await hashing?.zeros(run.length);
    yield run;
  }
}

/** Looks at the first bytes of a stream and gives it back whole. */
async function peek(chunks: AsyncIterable<Uint8Array>) {
  const iterator = chunks[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let length = 0;
  let ended = false;
  while (length < HEAD_BYTES && !ended) {
    const next = await iterator.next();
    ended = next.done === true;
    if (next.done) break;
    first.push(next.value);
    length += next.value.length;
  }
  async function* whole() {
    try {
      for (const chunk of first.splice(0)) yield chunk;
      while (!ended) {
        const next = await iterator.next();
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { head: Buffer.concat(first).subarray(0, HEAD_BYTES), chunks: whole() };
}

/** How long the file will be is not known before its end. */
async function inPhase<T>(
  { progress, subject }: EncodeFileOptions,
  phase: Phase,
  body: (onBytes: (done: number) => void) => Promise<T>,
): Promise<T> {
  return (await step(progress, { subject, phase }, body)).result;
}
