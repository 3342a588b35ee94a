import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { execa } from 'execa';

/**
 * Runs `body` while no other process is in here with the same `file`. flock(1) holds the lock until
 * its standard input ends, which it also does when this process is killed.
 */
export async function exclusively<T>(file: string, body: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  const lock = execa('flock', [file, 'sh', '-c', 'echo locked; exec cat'], { buffer: false });
  try {
    await Promise.race([once(lock.stdout, 'data'), lock]);
    return await body();
  } finally {
    lock.stdin.end();
    await lock;
  }
}
