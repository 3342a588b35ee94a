import { rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from './atomic.ts';
import { exchangeNames } from './libc.ts';

/**
 * Swaps the folder `made` with `target`, which exists: in one step if the file
 * system can, so that even a crash leaves one of the two at `target`. Both are on one file system.
 */
export async function exchangeFolders(made: string, target: string): Promise<void> {
  if (!exchangeNames(made, target)) {
    const aside = `${made}-old`;
    await rename(target, aside);
    try {
      await rename(made, target);
    } catch (error) {
      await rename(aside, target);
      throw error;
    }
    await rename(aside, made);
  }
  await syncFolder(dirname(target));
}
