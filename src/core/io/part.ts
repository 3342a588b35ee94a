import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { geteuid } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from '../errors.ts';
import { isStill } from './identity.ts';
import { tryLock } from './libc.ts';
import { errnoOf, osError } from './os-error.ts';

/** A file that is still coming, held by this process alone until it is disposed of. */
export interface Part extends AsyncDisposable {
  readonly path: string;
  readonly handle: FileHandle;
  /** Another process held it before, and may have finished the work. */
  readonly waited: boolean;
}

/** Milliseconds between two looks at a part that another process holds. */
const LOOK = 200;
const FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens a part that an earlier run has left, or a new one. Its name is known beforehand, and its folder may come
 * from another user: a link there would redirect the bytes, and another user's file could be changed after it was
 * proved. So anything but a file of our own is dropped. Waits while another process holds the part.
 */
export async function openPart(path: string, signal?: AbortSignal): Promise<Part> {
  let waited = false;
  try {
    for (;;) {
      throwIfAborted(signal);
      const handle = await openOwn(path);
      if (handle === undefined) continue;
      try {
        // The previous holder may have renamed or removed it before we got the lock.
        if (tryLock(handle.fd) !== 'busy' && (await isStill(path, handle))) {
          return { path, handle, waited, [Symbol.asyncDispose]: () => handle.close() };
        }
      } catch (error) {
        await handle.close();
        throw error;
      }
      await handle.close();
      waited = true;
      await sleep(LOOK, undefined, signal ? { signal } : {}).catch(() => {});
    }
  } catch (error) {
    throw osError(error, 'write', path);
  }
}

/** Undefined if something else was in its place; that has been removed. */
async function openOwn(path: string): Promise<FileHandle | undefined> {
  try {
    const handle = await open(path, FLAGS, 0o644);
    let own = false;
    try {
      const found = await handle.stat();
      own = found.isFile() && found.nlink <= 1 && found.uid === geteuid?.();
      if (own) return handle;
    } finally {
      if (!own) await handle.close();
    }
  } catch (error) {
    if (errnoOf(error) !== 'ELOOP') throw error;
  }
  await rm(path, { force: true });
  return undefined;
}
