import { Readable } from 'node:stream';
import {
  constants,
  createGunzip,
  createZstdDecompress,
  type Gunzip,
  type ZstdDecompress,
  zstdDecompressSync,
} from 'node:zlib';
import { FormatError } from '../../core/errors.ts';
import { createFrameCutter, type FramePart } from './zstd-frames.ts';

/** Maximum size of a chunk of unpacked bytes. */
const CHUNK = 256 << 10;
/** 128 MiB: what `zstd -d` accepts by default. A hostile frame cannot ask for more memory. */
const MAX_WINDOW_LOG = 27;
/** Frames of up to this many stored bytes are unpacked at once, because there may be one for each file. */
const SMALL_FRAME = 1 << 20;
/** Limit for unpacking such a frame at once; larger ones are unpacked piece by piece. */
const SMALL_CONTENT = 8 << 20;

/**
 * Unpacks a layer of a container image: gzip of any number of members, zstd of any number of frames, or not
 * compressed at all, which its first bytes show. Throws FormatError `LAYER_DAMAGED`.
 */
export async function* unpackLayer(
  name: string,
  stored: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const iterator = stored[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done === true ? new Uint8Array() : first.value;
  async function* whole() {
    try {
      if (first.done === true) return;
      yield head;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  const starts = (...magic: number[]) => magic.every((byte, index) => head[index] === byte);
  const isZstd =
    starts(0x28, 0xb5, 0x2f, 0xfd) || starts(0x50 | ((head[0] ?? 0) & 15), 0x2a, 0x4d, 0x18);
  try {
    if (starts(0x1f, 0x8b)) yield* through(createGunzip({ chunkSize: CHUNK }), whole());
    else if (isZstd) yield* unzstdFrames(whole());
    else yield* whole();
  } catch (error) {
    throw damaged(name, error);
  }
}

/** Not stream.pipeline: an error of the input must be reported itself, not as a premature close. */
async function* through(
  decoder: Gunzip | ZstdDecompress,
  stored: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const input = Readable.from(stored, { objectMode: false });
  input.once('error', (error) => decoder.destroy(error));
  input.pipe(decoder);
  try {
    for await (const chunk of decoder) yield chunk;
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

async function* unzstdFrames(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const parts = framePartsOf(stored);
  try {
    for (;;) {
      // As much of the next frame as fits.
      const held: Uint8Array[] = [];
      let bytes = 0;
      let last = false;
      while (!last && bytes <= SMALL_FRAME) {
        const next = await parts.next();
        if (next.done === true) return;
        held.push(Buffer.from(next.value.bytes));
        bytes += next.value.bytes.length;
        last = next.value.last;
      }
      const whole = last ? atOnce(Buffer.concat(held)) : undefined;
      if (whole) yield whole;
      else yield* through(zstd(), frame(held, last, parts));
    }
  } finally {
    await parts.return(undefined);
  }
}

async function* frame(
  held: Iterable<Uint8Array>,
  complete: boolean,
  parts: AsyncGenerator<FramePart>,
): AsyncGenerator<Uint8Array> {
  yield* held;
  for (let last = complete; !last; ) {
    const next = await parts.next();
    if (next.done === true) return;
    yield Buffer.from(next.value.bytes);
    last = next.value.last;
  }
}

async function* framePartsOf(stored: AsyncIterable<Uint8Array>): AsyncGenerator<FramePart> {
  const cutter = createFrameCutter();
  for await (const chunk of stored) yield* cutter.push(chunk);
  cutter.finish();
}

const params = { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG };
const zstd = () => createZstdDecompress({ chunkSize: CHUNK, params });

/** Undefined if it exceeds the limit for unpacking at once. */
function atOnce(bytes: Uint8Array): Buffer | undefined {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: SMALL_CONTENT, params });
  } catch (error) {
    const tooLarge = error instanceof Error && 'code' in error;
    if (tooLarge && error.code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw error;
  }
}

function damaged(name: string, error: unknown): unknown {
  const ours =
    error instanceof Error && (!('code' in error) || /^Z_|^ZSTD_/.test(String(error.code)));
  if (!ours || error.constructor.name.endsWith('TypeError')) return error;
  return new FormatError(`${name} is damaged: ${error.message}`, {
    code: 'LAYER_DAMAGED',
    context: { layer: name },
    hint: 'copy or pull the container image again',
    cause: error,
  });
}
