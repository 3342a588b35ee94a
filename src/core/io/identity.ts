import { type FileHandle, lstat } from 'node:fs/promises';
import { isAbsent } from './os-error.ts';

/** Whether this path still leads to the open file or folder. Throws the errors of node:fs. */
export async function isStill(path: string, handle: FileHandle): Promise<boolean> {
  const ours = await handle.stat();
  try {
    const found = await lstat(path);
    return found.ino === ours.ino && found.dev === ours.dev;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}
