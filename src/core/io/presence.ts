import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { errnoOf, osError } from './os-error.ts';

/**
 * What is at a path, itself if it is a link; undefined if there is nothing. That it cannot be found out is not the same:
 * then it throws IoError.
 */
export async function lookAt(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw osError(error, 'read', path);
  }
}
