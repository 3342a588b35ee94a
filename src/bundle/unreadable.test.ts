import type { PathLike } from 'node:fs';
import * as fs from 'node:fs/promises';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';
import { writeAtomically } from '../core/io/atomic.ts';
import { lookAt } from '../core/io/presence.ts';
import { makeScratch, reclaimFiles } from '../core/io/scratch.ts';
import { notPulled } from './pulled.ts';
import { isBundle } from './read.ts';

/** Calls of lstat that still fail, with EIO. */
let failing = 0;
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof fs>();
  return {
    ...real,
    async lstat(path: PathLike) {
      if (failing-- <= 0) return real.lstat(path);
      throw Object.assign(new Error('EIO: i/o error, lstat'), { code: 'EIO', syscall: 'lstat' });
    },
  };
});
beforeEach(() => {
  failing = 0;
});

const TEMPORARY = /^\.iso-rehydrate-[0-9a-f]{12}\.part$/;
const hello = (folder: string) =>
  writeAtomically(join(folder, 'out'), (sink) => sink.write(Buffer.from('hello')));

async function openBelow(folder: string): Promise<string[]> {
  const links = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return links.filter((link) => link.startsWith(folder));
}

test('a temporary file that cannot be looked at is an error, and does not stay', async () => {
  await using folder = await temporaryFolder();
  failing = 1;
  await expect(hello(folder.path)).rejects.toMatchObject({ kind: 'io' });
  expect(await readdir(folder.path)).toEqual([]);
  expect(await openBelow(folder.path)).toEqual([]);
});

test('nor does a scratch folder', async () => {
  await using folder = await temporaryFolder();
  failing = 1;
  await expect(makeScratch(join(folder.path, 'work-'))).rejects.toThrow('EIO');
  expect(await readdir(folder.path)).toEqual([]);
  expect(await openBelow(folder.path)).toEqual([]);
});

test('unreadable files do not count as missing', async () => {
  await using folder = await temporaryFolder();
  const { path, recipes } = await writeSyntheticBundle(folder.path);
  for (const look of [
    () => isBundle(path),
    () => notPulled({ path }, recipes),
    () => lookAt(join(folder.path, 'none')),
  ]) {
    failing = 1;
    await expect(look()).rejects.toMatchObject({ kind: 'io' });
    failing = 0;
    await look();
  }
  expect(await isBundle(join(path, 'oci-layout'))).toBe(false);
});

test('leftovers that cannot be removed do not fail the work of a run', async () => {
  await using folder = await temporaryFolder();
  const left = join(folder.path, `.iso-rehydrate-${'0'.repeat(12)}.part`);
  await fs.writeFile(left, 'half');
  failing = 1;
  await reclaimFiles(folder.path, TEMPORARY);
  expect(await readdir(folder.path)).toHaveLength(1);
  await hello(folder.path);
  expect(await readFile(join(folder.path, 'out'), 'utf8')).toBe('hello');
  expect(await readdir(folder.path)).toEqual(['out']);
});
