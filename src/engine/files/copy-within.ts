import { open } from 'node:fs/promises';
import { osError } from '../../core/io/os-error.ts';
import { shortRead } from '../../core/io/short-read.ts';
import { ZEROS } from '../../core/io/zero.ts';

const CHUNK = 4 << 20;

/** Moves bytes within a file. */
export interface Copier extends AsyncDisposable {
  /** Copies over bytes that are no longer needed; the ranges may overlap if `to` is before `from`. */
  copy(from: number, to: number, length: number): Promise<void>;
  /** Writes zeros. */
  clear(at: number, length: number): Promise<void>;
}

export async function copyWithin(path: string): Promise<Copier> {
  const handle = await open(path, 'r+').catch((error: unknown) => {
    throw osError(error, 'open', path);
  });
  const buffer = Buffer.allocUnsafe(CHUNK);
  async function write(bytes: Uint8Array, position: number): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await handle
        .write(bytes, at, bytes.length - at, position + at)
        .catch((error: unknown) => {
          throw osError(error, 'write', path);
        });
      at += bytesWritten;
    }
  }
  return {
    async copy(from, to, length) {
      for (let at = 0; at < length; ) {
        const wanted = Math.min(CHUNK, length - at);
        const { bytesRead } = await handle
          .read(buffer, 0, wanted, from + at)
          .catch((error: unknown) => {
            throw osError(error, 'read', path);
          });
        if (bytesRead === 0) throw shortRead(path, from + at, from, length);
        await write(buffer.subarray(0, bytesRead), to + at);
        at += bytesRead;
      }
    },
    async clear(position, length) {
      for (let at = 0; at < length; at += ZEROS.length) {
        await write(ZEROS.subarray(0, Math.min(ZEROS.length, length - at)), position + at);
      }
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}
