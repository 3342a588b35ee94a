import { statfs } from 'node:fs/promises';
import { IoError, UnsupportedError } from './errors.ts';
import { osError } from './io/os-error.ts';

/**
 * Sizes that an untrusted file declares: a few bytes can promise terabytes of zeros, and making, hashing or
 * even skipping them takes hours. They are checked before work begins.
 */

/** Bytes. The largest disk of a release has 100 GiB (ibmcloud), the largest file 16 GiB. */
export const DEFAULT_MAX_SIZE = 256 * 2 ** 30;

let maxSize = DEFAULT_MAX_SIZE;

/** Sets the limit of this process for a file or disk, in bytes; undefined for the default. */
export function limitSizes(bytes: number | undefined): void {
  maxSize = bytes ?? DEFAULT_MAX_SIZE;
}

/**
 * Throws UnsupportedError `SIZE_LIMIT` if a declared size is not plausible.
 *
 * @param what `the image of aws`, `the disk in x.qcow2`
 */
export function checkSize(what: string, size: number): void {
  if (size <= maxSize) return;
  throw new UnsupportedError(`${what} is declared to have ${size} bytes, more than the limit`, {
    code: 'SIZE_LIMIT',
    context: { size, limit: maxSize },
    hint: 'if that is right, raise the limit: ISO_REHYDRATE_MAX_SIZE=1TiB',
  });
}

/**
 * Throws IoError `DISK_FULL` if the file system of a folder lacks room for `bytes`, the least that will be
 * allocated, not counting holes.
 */
export async function checkRoom(folder: string, bytes: number, what: string): Promise<void> {
  let free: number;
  try {
    const { bavail, bsize, blocks } = await statfs(folder);
    if (blocks === 0) return; // the file system does not report it
    free = bavail * bsize;
  } catch (error) {
    throw osError(error, 'look at', folder);
  }
  if (bytes <= free) return;
  throw new IoError(`there is no room for ${what}: ${bytes} bytes in ${folder}`, {
    code: 'DISK_FULL',
    context: { folder, wanted: bytes, free },
    hint: 'free some space, or choose another folder',
  });
}
