import { fstatSync, readSync } from 'node:fs';
import { HOLE_BLOCK, isZero } from './zero.ts';

/** Bytes that are read at once. */
const CHUNK = 1 << 20;
/** Regions are reported in parts of at most this size, because random access would otherwise read too much. */
const MAX_REGION = CHUNK;
/** The unit of st_blocks, whatever the file system's own block size. */
const STAT_BLOCK = 512;

/**
 * The next data region of a file at or after `position`, for hosts on which lseek(2) cannot be called. Zeros of whole
 * blocks count as holes. A file that has as many blocks as bytes has none, and is not read.
 */
export function seekDataByReading(
  fd: number,
  position: number,
  size: number,
): { start: number; end: number } | undefined {
  const { size: length, blocks } = fstatSync(fd);
  if (blocks * STAT_BLOCK >= length) return { start: position, end: size };
  const chunk = Buffer.allocUnsafe(CHUNK);
  let start: number | undefined;
  for (let at = position; at < size; ) {
    // To the next multiple, so that blocks here are the file system's.
    const wanted = Math.min(size - at, CHUNK - (at % CHUNK));
    const read = readSync(fd, chunk, 0, wanted, at);
    if (read === 0) return { start: start ?? at, end: size }; // shorter than it was: the reader reports it
    for (let from = 0; from < read; ) {
      const to = Math.min(read, from + HOLE_BLOCK - ((at + from) % HOLE_BLOCK));
      const zero = isZero(chunk, from, to);
      if (zero && start !== undefined) return { start, end: at + from };
      if (!zero) start ??= at + from;
      from = to;
    }
    at += read;
    if (start !== undefined && at - start >= MAX_REGION) return { start, end: at };
  }
  return start === undefined ? undefined : { start, end: size };
}
