import { createHasher, type Sha256 } from '../../../core/io/digest.ts';
import { openFileReader } from './file-reader.ts';
import type { HashRole } from './messages.ts';

const CHUNK = 1 << 20;
/** Bytes hashed between two messages about it. */
const STRIDE = 64 << 20;

/**
 * The thread's work: hashes up to each `upTo` it receives, from the page cache. Calls `hashed` now
 * and then, and with the digest at the end.
 */
export function startHashing(
  { output, size }: HashRole,
  hashed: (upTo: number, sha256: Sha256 | undefined) => void,
): (upTo: number, data: Float64Array) => void {
  const hasher = createHasher();
  const buffer = Buffer.allocUnsafe(CHUNK);
  const reader = openFileReader(output);

  const data = (start: number, end: number) => {
    for (let at = start; at < end; ) {
      const piece = buffer.subarray(0, Math.min(CHUNK, end - at));
      reader.read(piece, at);
      hasher.update(piece);
      at += piece.length;
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
