import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { throwIfAborted } from '../errors.ts';
import { checkRoom } from '../plausible.ts';
import { isStill } from './identity.ts';
import { tryLock } from './libc.ts';
import { osError } from './os-error.ts';
import { reclaimFiles } from './scratch.ts';
import { fileSink, type Sink } from './sink.ts';

export interface AtomicOptions {
  readonly signal?: AbortSignal | undefined;
  /** Replace an existing file (default true). If false, an existing file is an IoError `EXISTS`. */
  readonly overwrite?: boolean;
  /** Of the file, where it is known: a file system that cannot hold it says so before the work. */
  readonly size?: number;
  /** Bytes that it needs at least, without holes: there must be room for them. */
  readonly allocates?: number;
}

/** A hidden name beside `path`: same file system, so that the last step is a rename. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.iso-rehydrate-${randomBytes(6).toString('hex')}.part`);
}

/**
 * Writes a file that appears at `path` only after `body` has resolved without an abort and its bytes are on
 * disk: temporary file beside it, fsync, rename, fsync of the folder. On failure nothing is left behind,
 * and an older file at `path` is untouched.
 */
export async function writeAtomically<T>(
  path: string,
  body: (sink: Sink) => Promise<T>,
  { signal, overwrite = true, size = 0, allocates = 0 }: AtomicOptions = {},
): Promise<T> {
  throwIfAborted(signal);
  if (allocates > 0) await checkRoom(dirname(path), allocates, basename(path));
  const { temporary, handle } = await openTemporary(path);
  try {
    if (size > 0) await handle.truncate(size);
    const sink = fileSink(handle, path);
    const result = await body(sink);
    await sink.finish();
    await handle.sync();
    throwIfAborted(signal);
    if (overwrite) {
      await rename(temporary, path);
    } else {
      await link(temporary, path); // unlike rename, fails if `path` exists
      await rm(temporary);
    }
    await syncFolder(dirname(path));
    return result;
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // the error that led here is the one to report
    throw osError(error, 'write', path);
  } finally {
    await handle.close(); // and with it the lock, which it needs as long as it has this name
  }
}

const TEMPORARY = /^\.iso-rehydrate-[0-9a-f]{12}\.part$/;

/** Removes unfinished files of killed processes. */
export function tidyFolder(folder: string): Promise<void> {
  return reclaimFiles(folder, TEMPORARY);
}

/** A new file that is locked, so that no other run takes it for one that a killed process has left. */
async function openTemporary(path: string): Promise<{ temporary: string; handle: FileHandle }> {
  await tidyFolder(dirname(path));
  try {
    for (;;) {
      const temporary = temporaryBeside(path);
      const handle = await open(temporary, 'wx', 0o644);
      if (await isOwned(temporary, handle)) return { temporary, handle };
    }
  } catch (error) {
    throw osError(error, 'create', path);
  }
}

/** Locks a file that this process has just made. If that fails, the file is closed and removed. */
async function isOwned(temporary: string, handle: FileHandle): Promise<boolean> {
  let owned = false;
  try {
    owned = tryLock(handle.fd) !== 'busy' && (await isStill(temporary, handle));
    return owned;
  } finally {
    if (!owned) {
      await rm(temporary, { force: true }).catch(() => {}); // the next run removes it
      await handle.close();
    }
  }
}

/** Makes a rename or unlink in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
