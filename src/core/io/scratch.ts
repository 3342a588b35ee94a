import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { geteuid } from 'node:process';
import { isStill } from './identity.ts';
import { tryLock } from './libc.ts';
import { isAbsent } from './os-error.ts';

/*
 * Work that a killed process leaves. Each scratch folder and each temporary file is locked (flock(2)) by its owner as
 * long as it lives, and the kernel releases the lock when the process ends in any way. Scratch with our prefix, of
 * our user and without a lock is abandoned, and the next run removes it.
 */

/** A private folder, locked until it is disposed of, and then removed. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
}

/** Milliseconds; on file systems without locks, scratch that has not changed for so long has no process any more. */
const STALE = 6 * 3600 * 1000;

/** Makes a folder whose name begins with `prefix` (a path). Throws the errors of node:fs. */
export async function makeScratch(prefix: string): Promise<Scratch> {
  for (;;) {
    const path = await mkdtemp(prefix);
    const handle = await own(path);
    if (handle === undefined) continue;
    return {
      path,
      async [Symbol.asyncDispose]() {
        try {
          await rm(path, { recursive: true, force: true });
        } finally {
          await handle.close();
        }
      },
    };
  }
}

/**
 * Opens and locks a folder that this process has just made. Undefined if another run has found it before it was
 * locked, and has removed it. On any other failure, nothing stays open and the folder is removed.
 */
async function own(path: string): Promise<FileHandle | undefined> {
  let handle: FileHandle | undefined;
  let owned = false;
  try {
    handle = await open(path, FOLDER);
    owned = tryLock(handle.fd) !== 'busy' && (await isStill(path, handle));
    return owned ? handle : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  } finally {
    if (!owned) {
      await rm(path, { recursive: true, force: true }).catch(() => {}); // the next run removes it
      await handle?.close();
    }
  }
}

/** Removes the scratch folders with this prefix that no process holds any more. Those that cannot be removed stay. */
export async function reclaimScratch(prefix: string): Promise<void> {
  const name = basename(prefix);
  for (const path of await namesIn(dirname(prefix), (one) => isMadeFrom(one, name))) {
    const handle = await openFolder(path);
    if (handle === undefined) continue;
    try {
      if (await isLost(path, handle)) await rm(path, { recursive: true, force: true });
    } catch {
      // It fails no work of this run; a later one tries again.
    } finally {
      await handle.close();
    }
  }
}

/** mkdtemp(3) adds six characters. */
const isMadeFrom = (name: string, prefix: string) =>
  name.startsWith(prefix) && /^[A-Za-z0-9]{6}$/.test(name.slice(prefix.length));

/** Bytes that scratch folders with this prefix take on disk, those of other processes included. */
export async function scratchBytes(prefix: string): Promise<number> {
  let bytes = 0;
  const name = basename(prefix);
  for (const path of await namesIn(dirname(prefix), (one) => isMadeFrom(one, name))) {
    for (const file of await namesIn(path, () => true)) {
      bytes += ((await lstat(file).catch(() => undefined))?.blocks ?? 0) * 512;
    }
  }
  return bytes;
}

/** Removes temporary files of a folder that no process holds any more. Those that cannot be removed stay. */
export async function reclaimFiles(folder: string, pattern: RegExp): Promise<void> {
  for (const path of await namesIn(folder, (name) => pattern.test(name))) {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await open(path, flags).catch(() => undefined);
    if (handle === undefined) continue;
    try {
      if ((await handle.stat()).isFile() && (await isLost(path, handle))) {
        await rm(path, { force: true });
      }
    } catch {
      // As above.
    } finally {
      await handle.close();
    }
  }
}

async function isLost(path: string, handle: FileHandle): Promise<boolean> {
  const found = await handle.stat();
  if (found.uid !== geteuid?.()) return false;
  const lock = tryLock(handle.fd);
  if (lock === 'locked') return isStill(path, handle);
  return lock === 'unsupported' && Date.now() - (await newestIn(path, found)) > STALE;
}

async function newestIn(path: string, found: Stats): Promise<number> {
  if (!found.isDirectory()) return found.mtimeMs;
  const times = await Promise.all(
    (await namesIn(path, () => true)).map(
      async (file) => (await lstat(file).catch(() => found)).mtimeMs,
    ),
  );
  return Math.max(found.mtimeMs, ...times);
}

/** A folder that cannot be read has nothing that we could remove. */
async function namesIn(folder: string, is: (name: string) => boolean): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter(is).map((name) => join(folder, name));
}

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

async function openFolder(path: string): Promise<FileHandle | undefined> {
  return open(path, FOLDER).catch(() => undefined); // removed, a link, or not ours
}
