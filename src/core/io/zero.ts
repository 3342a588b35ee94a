/** A read-only megabyte of zeros, for hashing and comparing. */
export const ZEROS: Buffer = Buffer.alloc(1 << 20);

/** `length` zero bytes, as views of {@link ZEROS}. */
export function* zeroChunks(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= ZEROS.length) {
    yield left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left);
  }
}

/** True if `chunk[start, end)` is all zero bytes; memcmp speed. */
export function isZero(chunk: Uint8Array, start = 0, end = chunk.length): boolean {
  // Most data differs in its first byte; skip the call then.
  if (start < end && chunk[start] !== 0) return false;
  const buffer = asBuffer(chunk);
  for (let at = start; at < end; at += ZEROS.length) {
    const length = Math.min(ZEROS.length, end - at);
    if (buffer.compare(ZEROS, 0, length, at, at + length) !== 0) return false;
  }
  return true;
}

/** The same memory as a Buffer, for its memcmp. */
export function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk)
    ? chunk
    : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}

/** Hole granularity: the block size of every file system in use. */
export const HOLE_BLOCK = 4096;

export interface Run {
  readonly zero: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * Splits a chunk into alternating data and zero runs. Zero runs are found on the `block` grid of
 * the *file* (`position` = file offset of chunk[0]), since only whole blocks can become holes.
 */
export function* zeroRuns(chunk: Uint8Array, position: number, block: number): Generator<Run> {
  let start = 0;
  let at = 0;
  let zero: boolean | undefined;
  while (at < chunk.length) {
    const end = Math.min(chunk.length, at + block - ((position + at) % block));
    const blockIsZero = isZero(chunk, at, end);
    if (zero !== undefined && blockIsZero !== zero) {
      yield { zero, start, end: at };
      start = at;
    }
    zero = blockIsZero;
    at = end;
  }
  if (zero !== undefined) yield { zero, start, end: chunk.length };
}
