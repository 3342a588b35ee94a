import type { FileHandle } from 'node:fs/promises';
import { punchHole } from '../../core/io/libc.ts';
import type { Sink } from '../../core/io/sink.ts';
import { zeroRuns } from '../../core/io/zero.ts';

const BLOCK = 4096;
/** Shorter runs are not worth an extent of the file system's. */
const WORTH = 64 << 10;

/**
 * A sink that must receive the bytes of `handle` in order: it frees the blocks of zero runs while the
 * caller reads the file anyway for its SHA-256, so punching holes costs no extra read. Does nothing where
 * the file system cannot punch holes.
 */
export function holeDigger(handle: FileHandle): Sink {
  let position = 0;
  let able = true;
  return {
    async write(chunk) {
      for (const { zero, start, end } of zeroRuns(chunk, position, BLOCK)) {
        if (able && zero && end - start >= WORTH) {
          able = punchHole(handle.fd, position + start, end - start);
        }
      }
      position += chunk.length;
    },
    async zeros(length) {
      position += length; // a hole already
    },
  };
}
