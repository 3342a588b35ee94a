import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isAbsent } from '../../core/io/os-error.ts';
import { reclaimFiles } from '../../core/io/scratch.ts';

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

function absent(error: unknown): readonly KeptFile[] {
  if (isAbsent(error)) return [];
  throw error;
}

/** The contents of a cache folder: disks, blobs, and unfinished blobs. */
const KEPT: Readonly<Record<string, RegExp>> = {
  metal: /^[0-9a-f]{64}\.raw$/,
  blobs: /^[0-9a-f]{64}(\.part)?$/,
};

/**
 * Unlinks least recently used files of a cache folder until the rest take at most `maxBytes` of the file system.
 * The file at the path `newest` goes last, because it is open for use; if even that is too large, nothing is
 * kept. A blob that a process is fetching stays.
 */
export async function trim(dir: string, maxBytes: number, newest: string): Promise<void> {
  const files: KeptFile[] = [];
  for (const [folder, pattern] of Object.entries(KEPT)) {
    files.push(...(await byLastUse(join(dir, folder), pattern).catch(absent)));
  }
  files.sort((a, b) => a.used - b.used);
  const isNewest = ({ path }: KeptFile) => path === newest;
  const entries = [...files.filter((file) => !isNewest(file)), ...files.filter(isNewest)];
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, path, bytes } of entries) {
    if (total <= maxBytes) return;
    if (name.endsWith('.part')) {
      await reclaimFiles(dirname(path), new RegExp(`^${name.replace('.', '\\.')}$`));
    } else {
      await rm(path, { force: true });
    }
    total -= bytes;
  }
}
