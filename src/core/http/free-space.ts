import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { IoError } from '../errors.ts';
import { formatBytes } from '../text/bytes.ts';

/** Bytes to leave free on the file system of a download, for other writers. */
export const RESERVE = 128 << 20;

/** Bytes that may be written beside `path`, or undefined where the file system does not say. */
export async function freeBeside(path: string): Promise<number | undefined> {
  const found = await statfs(dirname(path)).catch(() => undefined);
  // Some network file systems report only zeros.
  if (found === undefined || found.blocks === 0) return undefined;
  return found.bavail * found.bsize - RESERVE;
}

/** Throws IoError `DISK_FULL` unless there is room for `more` bytes beside `path`. */
export async function needSpace(path: string, more: number, what: string): Promise<void> {
  const free = await freeBeside(path);
  if (free === undefined || more <= free) return;
  const folder = dirname(path);
  throw new IoError(
    `no space left for ${what}: it needs ${formatBytes(more)} more, ${folder} has ${formatBytes(Math.max(0, free))}`,
    {
      code: 'DISK_FULL',
      context: { path: folder, needed: more, free: Math.max(0, free) },
      hint: `free some space (${formatBytes(RESERVE)} stay free) or choose another folder`,
    },
  );
}
