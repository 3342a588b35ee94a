import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { throwIfAborted } from '../errors.ts';
import { osError } from './os-error.ts';
import { fileSink, type Sink } from './sink.ts';

export interface AtomicOptions {
  readonly signal?: AbortSignal | undefined;
  /** Replace a file that is there (default true). If false, an existing file is an IoError `EXISTS`. */
  readonly overwrite?: boolean;
}

/** A hidden name beside `path`: same file system, so that the last step is a rename. */
export function temporaryBeside(path: string): string {
  return join(dirname(path), `.iso-rehydrate-${randomBytes(6).toString('hex')}.part`);
}

/**
 * Writes a file that appears at `path` only once `body` resolved, its bytes are on disk and nobody
 * aborted: temporary file beside it, fsync, rename, fsync of the folder. On any failure nothing is
 * left and an older file at `path` is untouched.
 */
export async function writeAtomically<T>(
  path: string,
  body: (sink: Sink) => Promise<T>,
  { signal, overwrite = true }: AtomicOptions = {},
): Promise<T> {
  throwIfAborted(signal);
  const temporary = temporaryBeside(path);
  let handle: FileHandle;
  try {
    handle = await open(temporary, 'wx', 0o644);
  } catch (error) {
    throw osError(error, 'create', path);
  }
  try {
    let result: T;
    try {
      const sink = fileSink(handle, path);
      result = await body(sink);
      await sink.finish();
      await handle.sync();
    } finally {
      await handle.close();
    }
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
    await rm(temporary, { force: true });
    throw osError(error, 'write', path);
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
