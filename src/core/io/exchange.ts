import { rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import koffi from 'koffi';
import { syncFolder } from './atomic.ts';

// renameat2(2) is not in node:fs. musl has no wrapper of it: then there is no exchange.
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

type Renameat2 = (from: number, old: string, to: number, path: string, flags: number) => number;

const renameat2 = ((): Renameat2 | undefined => {
  try {
    return koffi
      .load(null)
      .func(
        'int renameat2(int from, const char *old, int to, const char *path, unsigned int flags)',
      );
  } catch {
    return undefined;
  }
})();

/**
 * Puts the folder `made` at `target`, which exists, and what was there at `made`: in one step where the file
 * system can, so that even a crash leaves one of the two at `target`. Both are on one file system.
 */
export async function exchangeFolders(made: string, target: string): Promise<void> {
  if (renameat2?.(AT_FDCWD, made, AT_FDCWD, target, RENAME_EXCHANGE) !== 0) {
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
