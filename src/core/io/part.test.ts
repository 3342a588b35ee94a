import { link, mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { openPart } from './part.ts';

test.each(['link', 'dangling link', 'hard link', 'pipe', 'device'])(
  'a %s in place of a part is dropped, and nothing is written through it',
  async (kind) => {
    await using folder = await temporaryFolder();
    const victim = join(folder.path, 'victim');
    const path = join(folder.path, 'x.part');
    await writeFile(victim, 'precious');
    if (kind === 'link') await symlink(victim, path);
    else if (kind === 'dangling link') await symlink(join(folder.path, 'new'), path);
    else if (kind === 'hard link') await link(victim, path);
    else if (kind === 'pipe') await execa('mkfifo', [path]);
    else await symlink('/dev/null', path);
    {
      await using part = await openPart(path);
      await part.handle.write(Buffer.from('evil'));
    }
    expect(await readFile(victim, 'utf8')).toBe('precious');
    expect(await readFile(path, 'utf8')).toBe('evil');
    expect((await stat(path)).nlink).toBe(1);
    await expect(stat(join(folder.path, 'new'))).rejects.toThrow();
  },
);

test('a folder in place of a part is an error', async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'x.part'));
  await expect(openPart(join(folder.path, 'x.part'))).rejects.toMatchObject({ kind: 'io' });
});

test('only one process holds a part at a time; a process that waited learns of it', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'x.part');
  const first = await openPart(path);
  await first.handle.write(Buffer.from('first'));
  let isOpen = false;
  const second = openPart(path).then((part) => {
    isOpen = true;
    return part;
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(isOpen).toBe(false);
  await rename(path, join(folder.path, 'x'));
  await first[Symbol.asyncDispose]();
  await using part = await second;
  expect(part.waited).toBe(true);
  expect((await part.handle.stat()).size).toBe(0);
  expect(await readFile(join(folder.path, 'x'), 'utf8')).toBe('first');
  const stop = AbortSignal.timeout(300);
  await expect(openPart(path, stop)).rejects.toMatchObject({ kind: 'cancelled' });
});
