import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

export const SCRATCH_PREFIX = 'work-';
/** A running engine writes all the time; a scratch folder this old has lost its process. */
const STALE_MS = 6 * 3600 * 1000;

/** Removes what killed processes left in the cache folder. */
export async function removeStaleScratch(dir: string, now = Date.now()): Promise<void> {
  for (const name of await readdir(dir)) {
    if (!name.startsWith(SCRATCH_PREFIX)) continue;
    const path = join(dir, name);
    if (now - (await newestChange(path)) > STALE_MS) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

async function newestChange(dir: string): Promise<number> {
  const names = await readdir(dir).catch(() => []);
  const stats = await Promise.all([
    stat(dir).catch(() => undefined),
    ...names.map((name) => stat(join(dir, name)).catch(() => undefined)),
  ]);
  return Math.max(0, ...stats.map((found) => found?.mtimeMs ?? 0));
}

export interface KeptFile {
  readonly name: string;
  readonly path: string;
  /** Allocated bytes on disk. */
  readonly bytes: number;
  /** Time of the last use, which the reader sets. */
  readonly used: number;
}

/** Files of a folder whose names match `pattern`, least recently used first. */
export async function byLastUse(folder: string, pattern: RegExp): Promise<KeptFile[]> {
  const files: KeptFile[] = [];
  for (const name of await readdir(folder)) {
    if (!pattern.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found) files.push({ name, path, bytes: found.blocks * 512, used: found.atimeMs });
  }
  return files.sort((a, b) => a.used - b.used);
}

/**
 * Unlinks least recently used disks until the rest take at most `maxBytes` of the file system. The disk
 * named `newest` goes last, because it is open for use; if even that is too large, nothing is kept.
 */
export async function trim(disks: string, maxBytes: number, newest: string): Promise<void> {
  const files = await byLastUse(disks, /^[0-9a-f]{64}\.raw$/);
  const isNewest = ({ name }: KeptFile) => name === newest;
  const entries = [...files.filter((file) => !isNewest(file)), ...files.filter(isNewest)];
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { path, bytes } of entries) {
    if (total <= maxBytes) return;
    await rm(path, { force: true });
    total -= bytes;
  }
}
