import { type FileHandle, lstat } from 'node:fs/promises';

/** Whether an open file or folder is still what is at this path. */
export async function isStill(path: string, handle: FileHandle): Promise<boolean> {
  const ours = await handle.stat();
  const found = await lstat(path).catch(() => undefined);
  return found?.ino === ours.ino && found.dev === ours.dev;
}
