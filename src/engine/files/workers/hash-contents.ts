import { createHash } from 'node:crypto';
import { openFileReader } from '../../native/workers/file-reader.ts';
import type { Job } from './messages.ts';

const CHUNK = 1 << 20;

/** SHA-256 of each of the contents, 32 bytes each. */
export function hashContents(
  { file, offsets, sizes }: Extract<Job, { kind: 'hash' }>,
  throwIfEnding: () => void,
): { digests: Uint8Array; bytes: number } {
  const reader = openFileReader(file);
  const buffer = Buffer.allocUnsafe(CHUNK);
  const digests = new Uint8Array(32 * offsets.length);
  let bytes = 0;
  for (const [index, offset] of offsets.entries()) {
    const size = sizes[index] ?? 0;
    const hasher = createHash('sha256');
    for (let at = 0; at < size; at += CHUNK) {
      throwIfEnding();
      const piece = buffer.subarray(0, Math.min(CHUNK, size - at));
      reader.read(piece, offset + at);
      hasher.update(piece);
    }
    digests.set(hasher.digest(), 32 * index);
    bytes += size;
  }
  reader.close();
  return { digests, bytes };
}
