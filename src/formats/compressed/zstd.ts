import { constants, createZstdDecompress, zstdDecompressSync } from 'node:zlib';
import type { Feed } from './feed.ts';
import { throughZlib } from './zlib-stream.ts';

/** 128 MiB: what `zstd -d` accepts by default. */
export const USUAL_WINDOW_LOG = 27;
/** 2 GiB: the window of `zstd --long=31`, and the maximum of libzstd. */
const MAX_WINDOW_LOG = 31;

/** The largest window that takes at most half of the free memory. */
export function affordableWindowLog(available: number = process.availableMemory()): number {
  const affordable = Math.floor(Math.log2(Math.max(1, available / 2)));
  return Math.min(MAX_WINDOW_LOG, Math.max(USUAL_WINDOW_LOG, affordable));
}

export interface UnzstdOptions {
  readonly chunkSize: number;
  /** Frames that need a larger window are refused. */
  readonly maxWindowLog: number;
}

/**
 * All frames of a zstd file except skippable ones (RFC 8878 3.1), with checksums and content sizes checked.
 * Throws zlib's errors, also for data that is not a frame.
 */
export async function* unzstdAll(
  feed: Feed,
  { chunkSize, maxWindowLog }: UnzstdOptions,
): AsyncGenerator<Buffer, void, undefined> {
  do {
    const params = { [constants.ZSTD_d_windowLogMax]: maxWindowLog };
    yield* throughZlib(feed, createZstdDecompress({ chunkSize, params }));
  } while (!(await feed.done()));
}

/** One frame that takes up all of `compressed`, at once. Throws as {@link unzstdAll} does. */
export function unzstdFrame(
  compressed: Uint8Array,
  { maxOutputLength, maxWindowLog }: { maxOutputLength: number; maxWindowLog: number },
): Buffer {
  const params = { [constants.ZSTD_d_windowLogMax]: maxWindowLog };
  // With `info` it is not the Buffer that its types declare.
  const { buffer, engine } = zstdDecompressSync(compressed, {
    maxOutputLength,
    params,
    info: true,
  }) as unknown as { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } };
  if (engine.bytesWritten === compressed.length) return buffer;
  throw Object.assign(new Error('extra bytes after its end'), { code: 'ZSTD_TRAILING' });
}

/** Whether `error` is libzstd's for a window larger than allowed. */
export function isWindowTooLarge(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    error.code === 'ZSTD_error_frameParameter_windowTooLarge'
  );
}
