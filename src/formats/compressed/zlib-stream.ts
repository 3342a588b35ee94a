import type { Transform } from 'node:stream';
import type { Feed } from './feed.ts';

/** One of node:zlib's decompressors. */
type Decompressor = Transform & { readonly bytesWritten: number };

/**
 * Decompresses one stream at the start of `feed`, which keeps all bytes after that stream; Node's own
 * streams drop them. To read the whole file, continue with `feed`. Throws what `zlib` throws, also if the
 * stream does not end, and what reading `feed` throws.
 */
export async function* throughZlib(
  feed: Feed,
  zlib: Decompressor,
): AsyncGenerator<Buffer, void, undefined> {
  const over = Promise.withResolvers<void>();
  let ended = false;
  let given = 0;
  let last = new Uint8Array(0) as Uint8Array;
  async function feedAll(): Promise<void> {
    // A chunk that was only partly used holds the stream's end.
    while (!(ended || zlib.destroyed) && zlib.bytesWritten === given) {
      const chunk = await feed.take();
      if (chunk === undefined) {
        zlib.end();
        return;
      }
      last = chunk;
      given += chunk.length;
      // Releases of Node differ in whether they call back for a chunk that has more than the stream.
      const written = new Promise<void>((resolve) => zlib.write(chunk, () => resolve()));
      await Promise.race([written, over.promise]);
    }
  }
  const feeding = feedAll();
  feeding.catch((error: Error) => zlib.destroy(error)); // thrown by the loop
  try {
    for await (const chunk of zlib as AsyncIterable<Buffer>) yield chunk;
  } finally {
    ended = true;
    over.resolve();
    zlib.destroy();
    await feeding.catch(() => {});
  }
  const unused = given - zlib.bytesWritten;
  if (unused > 0) feed.putBack(last.subarray(last.length - unused));
}
