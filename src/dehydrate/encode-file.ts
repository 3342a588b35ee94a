import type { Container } from '../../images/platforms.ts';
import type { BlobRef } from '../bundle/blobs.ts';
import type { Recipe, RecipeLayer, RecipePayload } from '../bundle/recipes.ts';
import type { BundleWriter } from '../bundle/write.ts';
import { HEAD_BYTES, MAX_LAYERS } from '../codec/codec.ts';
import { writeRecipe } from '../codec/recipe-blob.ts';
import type { CodecPool } from '../codec/workers/pool.ts';
import { encodeDelta, encodeRuns } from '../delta/encode.ts';
import { FormatError, UnsupportedError } from '../errors.ts';
import type { Hashing, Sha256 } from '../io/digest.ts';
import { type DiskRun, runsToSink, sourceRuns } from '../io/disk-run.ts';
import { hashingSink, nullSink } from '../io/sink.ts';
import { openSource, type Source } from '../io/source.ts';
import type { Phase, Progress } from '../progress.ts';
import { step } from '../step.ts';
import type { OpenBase } from './artifact.ts';
import { containerProbe } from './probe.ts';
import { type ReleasedFile, readReleasedOnce } from './released.ts';
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
 * Makes recipe and blobs of a released file. A file that begins like a container that a codec knows is
 * unpacked (once, if it is compressed) and taken apart; any other is matched while it is read.
 */
export async function encodeFile(options: EncodeFileOptions): Promise<EncodedFile> {
  const reader = readReleasedOnce(options.file, options.signal);
  const probe = containerProbe(reader.target);
  const { head, chunks } = await peek(probe.chunks);
  const ends = { ...reader, container: probe.container };
  const known = detectCodec(head) !== undefined;
  return (known ? encodeContainer : encodeStream)(options, { ...ends, target: chunks });
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

async function encodeContainer(options: EncodeFileOptions, reading: Reading): Promise<EncodedFile> {
  const { file, subject, progress, prove } = options;
  await using unpacked = await unpack(options, reading);
  const { source, found } = unpacked;
  prove(found);
  const container = reading.container();
  for (let maxLayers = MAX_LAYERS; maxLayers > 0; ) {
    let depth = 0;
    try {
      const recipe = await encodeLayers(options, source, maxLayers, (layers) => {
        depth = layers;
      });
      return { ...found, recipe, container };
    } catch (error) {
      if (error instanceof UnsupportedError && error.code === 'NOT_APART') throw error;
      // The file is the released one, so whatever a codec has against it is no fault of the release.
      if (!(error instanceof UnsupportedError || error instanceof FormatError)) throw error;
      const reason = error.message.replaceAll(`${file.path} `, 'it ');
      progress({ type: 'note', subject, message: `not taken apart: ${reason}` });
      maxLayers = depth - 1;
    }
  }
  return { ...found, recipe: await encodeWhole(options, source), container };
}

function notApart({ file }: EncodeFileOptions): UnsupportedError {
  return new UnsupportedError(`${file.path} cannot be taken apart`, { code: 'NOT_APART' });
}

/** Reads all of the file, hashing it both ways; one that is compressed goes to a scratch file. */
async function unpack(
  options: EncodeFileOptions,
  { target: bytes, fileDigest }: Reading,
): Promise<AsyncDisposable & { readonly source: Source; readonly found: FoundFile }> {
  const { file, base, writer, pool, signal } = options;
  const read = async (sink = nullSink()): Promise<BlobRef> =>
    inPhase(options, 'read', async (onBytes) => {
      using out = hashingSink(sink, pool.hashing(base.size, signal));
      for await (const chunk of bytes) {
        await out.write(chunk);
        onBytes(out.bytes);
      }
      return { sha256: await out.digest(), size: out.bytes };
    });
  if (file.compression === 'none') {
    const target = await read();
    return opened(await openSource(file.path), { target, file: target });
  }
  const scratch = await writer.addScratch(read);
  const target = scratch.result;
  return opened({ ...scratch.source, name: file.path }, { target, file: fileDigest(target) });
}

function opened(source: Source, found: FoundFile) {
  return { source, found, [Symbol.asyncDispose]: () => source.close() };
}

async function encodeWhole(options: EncodeFileOptions, source: Source): Promise<Recipe> {
  if (options.onlyApart) throw notApart(options);
  const { base, writer, signal } = options;
  const index = await base.index();
  const { blob } = await writer.addStream((sink) =>
    inPhase(options, 'match', (onBytes) => {
      const target = sourceRuns(source, signal);
      return encodeRuns({ base: base.source, index, target, sink, signal, onBytes });
    }),
  );
  return { kind: 'delta', base: base.name, delta: blob };
}

/** Throws FormatError or UnsupportedError if a codec does not like what it finds. */
async function encodeLayers(
  options: EncodeFileOptions,
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
  options: EncodeFileOptions,
  { layers, payload }: TakenApart,
): Promise<Recipe> {
  const { writer, signal, base, pool } = options;
  const index = await base.index();
  const { blob, result } = await writer.addStream(async (sink) => {
    using hashing =
      payload.size <= MAX_HASHED_PAYLOAD ? pool.hashing(payload.size, signal) : undefined;
    const target = hashed(payload.runs(), hashing);
    await inPhase(options, 'match', (onBytes) =>
      encodeRuns({ base: base.source, index, target, sink, signal, onBytes }),
    );
    // A codec may give up as late as here: then nothing of this is in the bundle yet.
    return { sha256: await hashing?.digest(), recipes: await recipesOf(layers) };
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
