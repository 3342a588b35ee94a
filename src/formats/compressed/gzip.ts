import { createGunzip } from 'node:zlib';
import type { Feed } from './feed.ts';
import { throughZlib } from './zlib-stream.ts';

/**
 * All members of a gzip file (RFC 1952 2.2), with their check sums and lengths compared. Zeros after the
 * last one are allowed, as in GNU gzip, because tapes and blocks are padded with them. Throws zlib's errors
 * and RangeError.
 */
export async function* gunzipAll(
  feed: Feed,
  chunkSize: number,
): AsyncGenerator<Buffer, void, undefined> {
  yield* throughZlib(feed, createGunzip({ chunkSize })); // continues with further members itself
  for (let chunk = await feed.take(); chunk !== undefined; chunk = await feed.take()) {
    if (chunk.some((byte) => byte !== 0)) throw new RangeError('extra bytes after its end');
  }
}
