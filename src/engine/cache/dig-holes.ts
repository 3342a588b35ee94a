import type { FileHandle } from 'node:fs/promises';
import { punchHole } from '../../core/io/libc.ts';
import type { Sink } from '../../core/io/sink.ts';
import { zeroRuns } from '../../core/io/zero.ts';

const BLOCK = 4096;
/** Shorter runs are not worth an extent of the file system's. */
const WORTH = 64 << 10;

/**
 * A sink for the very bytes that `handle` holds, in order: gives the blocks of zero runs back to the
 * file system while the caller reads the file for another reason (its SHA-256), so that digging costs
 * no read of its own. Where the file system cannot punch holes it does nothing.
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
