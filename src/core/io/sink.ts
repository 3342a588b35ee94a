import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { type Hashing, hashingHere } from './digest.ts';
import { osError } from './os-error.ts';
import { HOLE_BLOCK, zeroChunks, zeroRuns } from './zero.ts';

/**
 * Sequential output. The caller may reuse a chunk once `write` resolved, and must await each call
 * before the next.
 */
export interface Sink {
  write(chunk: Uint8Array): Promise<void>;
  /** Writes `length` zero bytes, as a hole where the sink supports holes. */
  zeros(length: number): Promise<void>;
}

/** Writes a file from its start; aligned zero blocks become holes. Call `finish` to set the size. */
export function fileSink(
  handle: FileHandle,
  path: string,
): Sink & { finish(): Promise<void>; readonly bytes: number } {
  let position = 0;
  return {
    async write(chunk) {
      try {
        for (const run of zeroRuns(chunk, position, HOLE_BLOCK)) {
          if (run.zero) continue;
          for (let at = run.start; at < run.end; ) {
            const { bytesWritten } = await handle.write(chunk, at, run.end - at, position + at);
            at += bytesWritten;
          }
        }
      } catch (error) {
        throw osError(error, 'write', path);
      }
      position += chunk.length;
    },
    async zeros(length) {
      position += length;
    },
    async finish() {
      try {
        await handle.truncate(position);
      } catch (error) {
        throw osError(error, 'write', path);
      }
    },
    get bytes() {
      return position;
    },
  };
}

/** Discards everything; for verification, with {@link hashingSink} around it. */
export function nullSink(): Sink {
  return { write: async () => {}, zeros: async () => {} };
}

/** A pipe or socket: zeros are written out, back-pressure is honoured. */
export function streamSink(stream: Writable): Sink {
  async function write(chunk: Uint8Array): Promise<void> {
    if (stream.errored) throw stream.errored;
    // The stream may keep the chunk beyond this call, which our contract allows the caller to reuse.
    if (!stream.write(Buffer.from(chunk))) await once(stream, 'drain');
  }
  return {
    write,
    async zeros(length) {
      for (const chunk of zeroChunks(length)) {
        if (stream.errored) throw stream.errored;
        if (!stream.write(chunk)) await once(stream, 'drain');
      }
    },
  };
}

export type HashingSink = Sink & Disposable & Pick<Hashing, 'digest' | 'bytes'>;

/** Passes everything on to `inner` and hashes it on the way. */
export function hashingSink(inner: Sink, hashing = hashingHere()): HashingSink {
  return {
    async write(chunk) {
      // The write runs in the thread pool while this thread, or another one, hashes.
      await Promise.all([inner.write(chunk), hashing.update(chunk)]);
    },
    async zeros(length) {
      await inner.zeros(length);
      await hashing.zeros(length);
    },
    digest: () => hashing.digest(),
    [Symbol.dispose]: () => hashing[Symbol.dispose](),
    get bytes() {
      return hashing.bytes;
    },
  };
}

/** Passes everything on to `inner` and counts it. */
export function countingSink(inner: Sink): Sink & { readonly bytes: number } {
  let bytes = 0;
  return {
    async write(chunk) {
      await inner.write(chunk);
      bytes += chunk.length;
    },
    async zeros(length) {
      await inner.zeros(length);
      bytes += length;
    },
    get bytes() {
      return bytes;
    },
  };
}
