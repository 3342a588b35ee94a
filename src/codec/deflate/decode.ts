import { Readable } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { FormatError, throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import type { DiskRun } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';
import { asBuffer } from '../../core/io/zero.ts';
import type { Opened } from '../codec.ts';
import { END_BYTES, type Follower, findDeflaters } from './candidates.ts';
import { deflateStream } from './deflater.ts';
import { serializeRecipe } from './recipe.ts';

const CHUNK = 1 << 20;
/** Of the contents, at a time. */
const INFLATED = 1 << 18;
/** Of the contents, to try deflaters on: several blocks of the worst kind. */
const SAMPLE = 2 << 20;

/**
 * Opens a raw deflate stream that takes up all of `source`: inflates it and deflates that again in the
 * same pass, with each deflater that agreed on its start. Throws UnsupportedError `DEFLATE_UNKNOWN` if
 * none does, or none to the end.
 */
export async function openDeflate(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  const { raw, whole } = await firstBytes(source, signal);
  const deflated = new Uint8Array(Math.min(source.size, raw.length + (raw.length >> 2) + CHUNK));
  await source.read(deflated, 0);
  const end = new Uint8Array(Math.min(source.size, END_BYTES));
  await source.read(end, source.size - end.length);
  const found = await findDeflaters({ raw, deflated, whole, end });
  const unknown = () =>
    new UnsupportedError(`${source.name} is deflated by none of the deflaters that are known`, {
      code: 'DEFLATE_UNKNOWN',
      context: { file: source.name },
    });
  if (found.length === 0) throw unknown();
  let payloadSize = 0;
  let agreed: Follower | undefined;

  async function* runs(): AsyncGenerator<DiskRun> {
    let followers: (Follower & { made: number })[] = [];
    for (const params of found) {
      followers.push({ params, stream: await deflateStream(params), made: 0 });
    }
    const follow = async (pieces: (follower: Follower) => Generator<Uint8Array>) => {
      const still: typeof followers = [];
      for (const follower of followers) {
        if (await agrees(source, follower, pieces(follower))) still.push(follower);
      }
      followers = still;
      if (followers.length === 0) throw unknown();
    };
    for await (const bytes of inflate(source, signal)) {
      await follow(({ stream }) => stream.push(bytes));
      payloadSize += bytes.length;
      yield { kind: 'data', bytes };
    }
    await follow(({ stream }) => stream.finish());
    agreed = followers.find(({ made }) => made === source.size);
    if (agreed === undefined) throw unknown();
  }

  return {
    payload: { kind: 'file', runs },
    async recipe() {
      if (agreed === undefined) throw new RangeError('the contents were not read to their end');
      const { params } = agreed;
      const recipe = { params, payloadSize, size: source.size };
      return { bytes: serializeRecipe(recipe), requires: [params.implementation] };
    },
  };
}

/** Whether the next pieces of a stream are what the file goes on with. */
async function agrees(
  source: Source,
  follower: { made: number },
  pieces: Generator<Uint8Array>,
): Promise<boolean> {
  for (const piece of pieces) {
    if (follower.made + piece.length > source.size) return false;
    const wanted = Buffer.alloc(piece.length);
    await source.read(wanted, follower.made);
    if (!wanted.equals(asBuffer(piece))) return false;
    follower.made += piece.length;
  }
  return true;
}

async function firstBytes(source: Source, signal: AbortSignal | undefined) {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const bytes of inflate(source, signal)) {
    pieces.push(bytes);
    length += bytes.length;
    if (length >= SAMPLE) return { raw: Buffer.concat(pieces), whole: false };
  }
  return { raw: Buffer.concat(pieces), whole: true };
}

/** Throws FormatError `DEFLATE_DAMAGED`. */
async function* inflate(
  source: Source,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  async function* chunks() {
    for (let at = 0; at < source.size; at += CHUNK) {
      throwIfAborted(signal);
      const bytes = Buffer.alloc(Math.min(CHUNK, source.size - at));
      await source.read(bytes, at);
      yield bytes;
    }
  }
  const zlib = createInflateRaw({ chunkSize: INFLATED });
  const input = Readable.from(chunks(), { objectMode: false });
  input.once('error', (error) => zlib.destroy(error));
  input.pipe(zlib);
  try {
    for await (const bytes of zlib as AsyncIterable<Uint8Array>) yield bytes;
  } catch (error) {
    throwIfAborted(signal);
    throw new FormatError(`${source.name} holds a damaged deflate stream`, {
      code: 'DEFLATE_DAMAGED',
      context: { file: source.name },
      cause: error,
    });
  } finally {
    input.destroy();
    zlib.destroy();
  }
}
