import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { osError } from './os-error.ts';

/** A new file without a name: it takes room in `folder` until it is closed or the process ends, even by SIGKILL. */
export async function openUnnamed(folder: string, prefix: string): Promise<FileHandle> {
  const path = join(folder, `${prefix}-${randomBytes(6).toString('hex')}`);
  try {
    const handle = await open(path, 'wx+', 0o600);
    await rm(path).catch(async (error: unknown) => {
      await handle.close();
      throw error;
    });
    return handle;
  } catch (error) {
    throw osError(error, 'write', path);
  }
}
