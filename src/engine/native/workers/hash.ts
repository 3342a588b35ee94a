import { openSync, readSync } from 'node:fs';
import { createHasher, type Sha256 } from '../../../io/digest.ts';
import { osError } from '../../../io/os-error.ts';
import { shortRead } from '../../../io/short-read.ts';
import type { HashRole } from './messages.ts';

const CHUNK = 1 << 20;
/** Bytes hashed between two messages about it. */
const STRIDE = 64 << 20;

/**
 * The thread's work: hashes on to each `upTo` it is told of, from the page cache. Calls `hashed` now
 * and then, and with the digest at the end.
 */
export function startHashing(
  { output, size }: HashRole,
  hashed: (upTo: number, sha256: Sha256 | undefined) => void,
): (upTo: number, data: Float64Array) => void {
  const hasher = createHasher();
  const buffer = Buffer.allocUnsafe(CHUNK);
  let fd: number;
  try {
    fd = openSync(output, 'r');
  } catch (error) {
    throw osError(error, 'open', output);
  }

  const data = (start: number, end: number) => {
    for (let at = start; at < end; ) {
      const wanted = Math.min(CHUNK, end - at);
      let bytes: number;
      try {
        bytes = readSync(fd, buffer, 0, wanted, at);
      } catch (error) {
        throw osError(error, 'read', output);
      }
      if (bytes === 0) throw shortRead(output, at, start, end - start);
      hasher.update(buffer.subarray(0, bytes));
      at += bytes;
    }
  };

  const zeros = (end: number) => {
    while (hasher.bytes < end) {
      hasher.zeros(Math.min(STRIDE, end - hasher.bytes));
      hashed(hasher.bytes, undefined);
    }
  };

  return (upTo, ranges) => {
    const end = Math.min(upTo, size);
    for (let i = 0; i < ranges.length; i += 2) {
      zeros(ranges[i] ?? end);
      data(hasher.bytes, ranges[i + 1] ?? end);
      hashed(hasher.bytes, undefined);
    }
    zeros(end);
    if (hasher.bytes === size) hashed(size, hasher.digest());
  };
}
