import { execFileSync } from 'node:child_process';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noise, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { readReleased } from './released.ts';

const MAKER = join(import.meta.dirname, '../../../test/support/zips.py');
const NAME = 'disk.vhdx';
const contents = Buffer.concat([noise(70_000, 'z'), Buffer.alloc(5000)]);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(join(folder.path, NAME), contents);
  execFileSync('python3', [MAKER, NAME, '.'], { cwd: folder.path });
});
afterAll(() => folder[Symbol.asyncDispose]());

async function read(kind: string): Promise<Buffer> {
  const file = { path: join(folder.path, `${kind}.zip`), compression: 'zip' } as const;
  const pieces: Uint8Array[] = [];
  for await (const piece of readReleased(file).target) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Those that are good or bad for `unzip -t` too, unless it is said why not. */
const GOOD = [
  'plain',
  'stored-pipe',
  'deflated-pipe',
  'deflate-good',
  'deflate-behind',
  'tail',
  'wide',
  'wide-pipe',
  'long-comment',
  'signs-in-comment', // unzip takes the comment for the end of the zip
  'prefix',
  'prefix-counted',
  'folder',
  'link',
];
const BAD = [
  'bad-crc', // unzip believes the local header
  'bad-size', // as before
  'bad-data',
  'bad-name',
  'bad-offset',
  'bad-count',
  'bad-local',
  'cut',
  'cut-front',
  'deflate-cut',
];
const OF_A_KIND: Readonly<Record<string, string>> = {
  two: `3 files (a/b, c, ${NAME})`,
  folders: 'without a regular file',
  nothing: 'without a regular file',
  bzip2: 'bzip2',
  lzma: 'LZMA',
  'method-9': 'deflate64',
  encrypted: 'encrypted',
};
const OTHER_CONTENTS = ['empty-file', 'zip-in-comment', 'zip-in-zip', 'inner'];

test.each(GOOD)('%s: the file', async (kind) => {
  expect((await read(kind)).equals(contents)).toBe(true);
});

test.each(BAD)('%s: refused', async (kind) => {
  await expect(read(kind)).rejects.toMatchObject({ code: 'COMPRESSED_DAMAGED' });
});

test.each(Object.entries(OF_A_KIND))('%s: %s', async (kind, why) => {
  const message = expect.stringContaining(why);
  await expect(read(kind)).rejects.toMatchObject({ code: 'ZIP_KIND', message });
});

test('a zip in a zip, and in the comment of one', async () => {
  expect(await read('empty-file')).toHaveLength(0);
  expect((await read('zip-in-comment')).equals(contents)).toBe(true);
  expect((await read('inner')).equals(contents)).toBe(true);
  expect((await read('zip-in-zip')).includes(contents)).toBe(true);
});

test('unzip agrees', async () => {
  const kinds = (await readdir(folder.path)).filter((name) => name.endsWith('.zip'));
  const listed = [...GOOD, ...BAD, ...Object.keys(OF_A_KIND), ...OTHER_CONTENTS];
  expect(kinds.map((name) => name.replace('.zip', '')).sort()).toEqual(listed.sort());
  const differ: string[] = [];
  for (const kind of [...GOOD, ...BAD]) {
    const { exitCode } = await execa('unzip', ['-tqq', `${kind}.zip`], {
      cwd: folder.path,
      reject: false,
    });
    // 1 is a warning: of bytes in front, say.
    const good = exitCode === 0 || (exitCode === 1 && kind !== 'bad-name');
    if (good !== GOOD.includes(kind)) differ.push(kind);
  }
  expect(differ).toEqual(['signs-in-comment', 'bad-crc', 'bad-size']);
});
