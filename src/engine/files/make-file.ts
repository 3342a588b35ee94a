import { open } from 'node:fs/promises';
import { osError } from '../../core/io/os-error.ts';

/** Makes a sparse file. It must not exist before. */
export async function makeFile(path: string, size: number): Promise<void> {
  try {
    await using handle = await open(path, 'wx', 0o600);
    await handle.truncate(size);
  } catch (error) {
    throw osError(error, 'create', path);
  }
}
