import { once } from 'node:events';
import type { FileHandle } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { osError } from '../../core/io/os-error.ts';
import { shortRead } from '../../core/io/short-read.ts';
import type { ByteRange } from './range.ts';

const CHUNK = 256 << 10;

/** How much of a body has really left through the socket. */
export interface Sent {
  bytes: number;
  /** Called whenever the kernel has taken some. */
  take(bytes: number): void;
}

/**
 * Sends a part of a file. Counts the bytes that the kernel has taken, so that the count says how much a client got.
 * Throws the errors of reading; ends if the client leaves.
 */
export async function sendFile(
  response: ServerResponse,
  { handle, path }: { readonly handle: FileHandle; readonly path: string },
  { start, end }: ByteRange,
  sent: Sent,
): Promise<void> {
  for (let at = start; at < end && !response.destroyed; ) {
    // The socket keeps the chunk until the kernel has taken it.
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(chunk, 0, chunk.length, at));
    } catch (error) {
      throw osError(error, 'read', path);
    }
    if (bytesRead === 0) throw shortRead(path, at, at, end - at);
    at += bytesRead;
    await sendBytes(response, chunk.subarray(0, bytesRead), sent);
  }
  await finish(response);
}

/** Writes some bytes and waits until there is room for more. */
export async function sendBytes(
  response: ServerResponse,
  bytes: Uint8Array,
  sent: Sent,
): Promise<void> {
  const hasRoom = response.write(bytes, (error) => {
    if (!error) sent.take(bytes.length);
  });
  if (!hasRoom && !response.destroyed) await drained(response);
}

/** Resolves when all is sent, or the client has left. */
export async function finish(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  const closed = once(response, 'close');
  response.end();
  await Promise.race([once(response, 'finish'), closed]).catch(() => {});
}

async function drained(response: ServerResponse): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  try {
    await Promise.race([once(response, 'drain', { signal }), once(response, 'close', { signal })]);
  } catch {
    // A socket's error is followed by its close.
  } finally {
    stop.abort();
  }
}
