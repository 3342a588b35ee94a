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

/**
 * Unlinks least recently used disks until those left take at most `maxBytes` of the file system. The
 * disk called `newest` goes last: its user has it open, and without room for it nothing is kept.
 */
export async function trim(disks: string, maxBytes: number, newest: string): Promise<void> {
  const entries: { path: string; bytes: number; used: number }[] = [];
  for (const name of await readdir(disks)) {
    if (!/^[0-9a-f]{64}\.raw$/.test(name)) continue;
    const path = join(disks, name);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) continue;
    const used = name === newest ? Number.POSITIVE_INFINITY : found.atimeMs;
    entries.push({ path, bytes: found.blocks * 512, used });
  }
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { path, bytes } of entries.sort((a, b) => a.used - b.used)) {
    if (total <= maxBytes) return;
    await rm(path, { force: true });
    total -= bytes;
  }
}
