import { createInflateRaw } from 'node:zlib';
import {
  FormatError,
  RehydrateError,
  throwIfAborted,
  UnsupportedError,
} from '../../core/errors.ts';
import type { DiskRun } from '../../core/io/disk-run.ts';
import type { Source } from '../../core/io/source.ts';
import { asBuffer, isZero, ZEROS } from '../../core/io/zero.ts';
import { feedOf } from '../../formats/compressed/feed.ts';
import { throughZlib } from '../../formats/compressed/zlib-stream.ts';
import type { Opened } from '../codec.ts';
import { END_BYTES, type Follower, findDeflaters } from './candidates.ts';
import { deflateStream } from './deflater.ts';
import type { DeflateParams } from './params.ts';
import { serializeRecipe } from './recipe.ts';

const CHUNK = 1 << 20;
/** Of the contents, at a time. */
const INFLATED = 1 << 18;
/** Of the contents, to try deflaters on: several blocks of the worst kind. */
const SAMPLE = 2 << 20;
/**
 * A sample goes on until it has so many bytes of the stream that tell deflaters apart, which is more than one
 * block. Runs tell nothing: of zeros, a block has some 8 MiB, and all levels make the same of it.
 */
const TELLING = 64 << 10;
/** Data that deflates to less than a hundredth does not count. */
const QUIET = 100;
/** If the deflater is not clear by then, all candidates are followed to the end. */
const MAX_SAMPLE = 256 << 20;
/** Of the sample in memory: zeros take none. */
const MAX_KEPT = 64 << 20;

/**
 * Opens a raw deflate stream that takes up all of `source`: inflates it and deflates that again in the
 * same pass, with each deflater that agreed on its start. Throws UnsupportedError `DEFLATE_UNKNOWN` if
 * none does, or none to the end.
 */
export async function openDeflate(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<Opened> {
  const found = await likelyDeflaters(source, signal);
  const unknown = () =>
    new UnsupportedError(`${source.name} is not deflated by any known deflater`, {
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
    for await (const { bytes } of inflate(source, signal)) {
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

/** The deflaters that agree on the start of a raw deflate stream; none if it is not by a known one. */
export async function likelyDeflaters(
  source: Source,
  signal: AbortSignal | undefined,
): Promise<DeflateParams[]> {
  const { raw, whole, taken } = await firstBytes(source, signal);
  const deflated = new Uint8Array(Math.min(source.size, taken + CHUNK));
  await source.read(deflated, 0);
  const end = new Uint8Array(Math.min(source.size, END_BYTES));
  await source.read(end, source.size - end.length);
  return findDeflaters({ raw, deflated, whole, end });
}

/** Whether the file continues with the next pieces of a stream. */
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
  const raw: Uint8Array[] = [];
  let [length, kept, telling, taken] = [0, 0, 0, 0];
  for await (const { bytes, taken: takenNow } of inflate(source, signal)) {
    const zero = isZero(bytes);
    raw.push(zero ? ZEROS.subarray(0, bytes.length) : bytes);
    length += bytes.length;
    if (!zero) kept += bytes.length;
    if ((takenNow - taken) * QUIET > bytes.length) telling += takenNow - taken;
    taken = takenNow;
    const enough = telling >= TELLING || length >= MAX_SAMPLE || kept >= MAX_KEPT;
    if (length >= SAMPLE && enough) return { raw, taken, whole: false };
  }
  return { raw, taken: source.size, whole: true };
}

/**
 * The contents, and how much of the stream they took up to here. Throws FormatError `DEFLATE_DAMAGED`, or
 * UnsupportedError `DEFLATE_UNKNOWN` if the stream is not all of `source`.
 */
async function* inflate(
  source: Source,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly taken: number }> {
  async function* chunks() {
    for (let at = 0; at < source.size; at += CHUNK) {
      throwIfAborted(signal);
      const bytes = Buffer.alloc(Math.min(CHUNK, source.size - at));
      await source.read(bytes, at);
      yield bytes;
    }
  }
  const feed = feedOf(chunks());
  const zlib = createInflateRaw({ chunkSize: INFLATED });
  try {
    for await (const bytes of throughZlib(feed, zlib)) yield { bytes, taken: zlib.bytesWritten };
    if (await feed.done()) return;
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof RehydrateError) throw error;
    throw new FormatError(`${source.name} holds a damaged deflate stream`, {
      code: 'DEFLATE_DAMAGED',
      context: { file: source.name },
      cause: error,
    });
  }
  throw new UnsupportedError(`${source.name} has more data after its first deflate stream`, {
    code: 'DEFLATE_UNKNOWN',
    context: { file: source.name, offset: zlib.bytesWritten },
  });
}
