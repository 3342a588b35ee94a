import { Readable } from 'node:stream';
import { constants, createZstdDecompress, zstdDecompressSync } from 'node:zlib';
import { createFrameCutter, type FramePart } from './zstd-frames.ts';

/** 128 MiB: what `zstd -d` accepts by default. */
export const USUAL_WINDOW_LOG = 27;
/** 2 GiB: the window of `zstd --long=31`, and the maximum of libzstd. */
const MAX_WINDOW_LOG = 31;
/** Frames of up to this many stored bytes are unpacked at once, because there may be one for each file. */
const SMALL_FRAME = 1 << 20;
/** Limit for unpacking such a frame at once; larger ones are unpacked piece by piece. */
const SMALL_CONTENT = 8 << 20;

/** The largest window that takes at most half of the free memory. */
export function affordableWindowLog(available: number = process.availableMemory()): number {
  const affordable = Math.floor(Math.log2(Math.max(1, available / 2)));
  return Math.min(MAX_WINDOW_LOG, Math.max(USUAL_WINDOW_LOG, affordable));
}

export interface UnzstdOptions {
  /** Maximum size of a chunk of unpacked bytes, except for small frames. */
  readonly chunkSize: number;
  /** Frames that need a larger window are refused. */
  readonly maxWindowLog: number;
}

/**
 * All frames of a zstd file except skippable ones (RFC 8878 3.1), with checksums and content sizes checked.
 * Throws zlib's errors, Error with the code `ZSTD_FRAME` for data that is not a frame, and what reading
 * `compressed` throws.
 */
export async function* unzstdAll(
  compressed: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: UnzstdOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const parts = framePartsOf(compressed);
  try {
    for (;;) {
      // As much of the next frame as fits.
      const held: Uint8Array[] = [];
      let bytes = 0;
      let complete = false;
      while (!complete && bytes <= SMALL_FRAME) {
        const next = await parts.next();
        if (next.done === true) return;
        held.push(next.value.bytes);
        bytes += next.value.bytes.length;
        complete = next.value.last;
      }
      const whole = complete ? atOnce(Buffer.concat(held), SMALL_CONTENT, options) : undefined;
      if (whole) yield whole;
      else yield* through(frame(held, parts, { complete }), options);
    }
  } finally {
    await parts.return(undefined);
  }
}

/**
 * One frame that takes up all of `compressed`, at once; undefined if it unpacks to more than `maxLength`
 * bytes. Throws as {@link unzstdAll} does.
 */
export function unzstdFrame(
  compressed: Uint8Array,
  { maxLength, maxWindowLog }: { maxLength: number; maxWindowLog: number },
): Buffer | undefined {
  const cutter = createFrameCutter();
  let length = 0;
  let frames = 0;
  for (const { bytes, last } of cutter.push(compressed)) {
    length += bytes.length;
    if (last) frames++;
  }
  cutter.finish();
  if (frames !== 1 || length !== compressed.length) {
    throw Object.assign(new Error('not exactly one frame'), { code: 'ZSTD_FRAME' });
  }
  return atOnce(compressed, maxLength, { maxWindowLog });
}

/** Whether `error` is libzstd's for a window larger than allowed. */
export function isWindowTooLarge(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === 'ZSTD_error_frameParameter_windowTooLarge'
  );
}

const paramsOf = (maxWindowLog: number) => ({ [constants.ZSTD_d_windowLogMax]: maxWindowLog });

/** Undefined if it exceeds the limit for unpacking at once. */
function atOnce(
  frame: Uint8Array,
  maxOutputLength: number,
  { maxWindowLog }: Pick<UnzstdOptions, 'maxWindowLog'>,
): Buffer | undefined {
  try {
    return zstdDecompressSync(frame, { maxOutputLength, params: paramsOf(maxWindowLog) });
  } catch (error) {
    const tooLarge = error instanceof Error && 'code' in error;
    if (tooLarge && error.code === 'ERR_BUFFER_TOO_LARGE') return undefined;
    throw error;
  }
}

/** Not stream.pipeline: an error of the input must be reported itself, not as a premature close. */
async function* through(
  frame: AsyncIterable<Uint8Array>,
  { chunkSize, maxWindowLog }: UnzstdOptions,
): AsyncGenerator<Buffer> {
  const decoder = createZstdDecompress({ chunkSize, params: paramsOf(maxWindowLog) });
  const input = Readable.from(frame, { objectMode: false });
  input.once('error', (error) => decoder.destroy(error));
  input.pipe(decoder);
  try {
    for await (const chunk of decoder) yield chunk;
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

async function* frame(
  held: Iterable<Uint8Array>,
  parts: AsyncGenerator<FramePart>,
  { complete }: { readonly complete: boolean },
): AsyncGenerator<Uint8Array> {
  yield* held;
  for (let last = complete; !last; ) {
    const next = await parts.next();
    if (next.done === true) return;
    yield next.value.bytes;
    last = next.value.last;
  }
}

/** All that a chunk has of a frame is one part, since each costs a round trip to zlib's thread. */
async function* framePartsOf(
  compressed: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<FramePart> {
  const cutter = createFrameCutter();
  for await (const chunk of compressed) {
    let pieces: Uint8Array[] = [];
    for (const { bytes, last } of cutter.push(chunk)) {
      pieces.push(bytes);
      if (!last) continue;
      yield { bytes: Buffer.concat(pieces), last };
      pieces = [];
    }
    if (pieces.length > 0) yield { bytes: Buffer.concat(pieces), last: false };
  }
  cutter.finish();
}
