import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

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
