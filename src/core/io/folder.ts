import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf, osError } from './os-error.ts';

/**
 * Makes a folder and those above it, unless they are there. Throws the system's own reason: Node's
 * recursive `mkdir` says ENOENT on a read-only file system, and never ends below some files of /proc.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await make(path);
  } catch (error) {
    throw osError(error, 'create the folder', path);
  }
}

async function make(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const parent = dirname(path);
    if (errnoOf(error) === 'ENOENT' && parent !== path && !(await isThere(parent))) {
      await make(parent);
      await mkdir(path).catch(unlessFolder(path));
      return;
    }
    await unlessFolder(path)(error);
  }
}

/** Some systems refuse to make a folder that is there with EROFS, EACCES or EPERM. */
const unlessFolder = (path: string) => async (error: unknown) => {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) throw error;
};

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
