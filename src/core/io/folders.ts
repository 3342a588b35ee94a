import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { IoError } from '../errors.ts';
import { isAbsent, osError } from './os-error.ts';

/**
 * Makes a folder and its missing parents. Node's recursive mkdir loops forever in an existing folder whose
 * mkdir(2) says ENOENT (`/proc/x`). Throws IoError.
 */
export async function makeFolder(path: string): Promise<void> {
  const missing: string[] = [];
  try {
    for (let at = resolve(path); !(await makeOne(at)); at = dirname(at)) missing.push(at);
    for (const one of missing.reverse()) await mkdirOrThere(one);
  } catch (error) {
    throw osError(error, 'create', path);
  }
}

/** False if the folder above is missing. */
async function makeOne(path: string): Promise<boolean> {
  try {
    await mkdirOrThere(path);
    return true;
  } catch (error) {
    if (!isAbsent(error) || dirname(path) === path) throw error;
    return false;
  }
}

async function mkdirOrThere(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    if ((await stat(path)).isDirectory()) return;
    throw new IoError(`cannot create a folder at ${path}: a file is in its place`, {
      code: 'NOT_FOUND',
      context: { path },
      hint: 'choose another folder',
      cause: error,
    });
  }
}

const errnoOf = (error: unknown) =>
  error instanceof Error && 'code' in error ? error.code : undefined;
