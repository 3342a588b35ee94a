import { mkdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { makeFolder } from './folders.ts';

test('a folder and its parents are made; an existing one will do', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'a/b/../c/d');
  await makeFolder(path);
  await makeFolder(path);
  expect((await stat(path)).isDirectory()).toBe(true);
  await symlink(path, join(folder.path, 'link'));
  await makeFolder(join(folder.path, 'link/e'));
  expect((await stat(join(path, 'e'))).isDirectory()).toBe(true);
  await Promise.all(Array.from({ length: 8 }, () => makeFolder(join(folder.path, 'x/y/z'))));
});

test('where none can be made, that is an error at once', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'file'), '');
  await symlink('nowhere', join(folder.path, 'dangling'));
  for (const [path, code] of [
    // Node's recursive mkdir never ends here.
    ['/proc/x', 'NOT_FOUND'],
    ['/proc/x/y/z', 'NOT_FOUND'],
    ['/proc/self/x', 'NOT_FOUND'],
    [join(folder.path, 'file'), 'NOT_FOUND'],
    [join(folder.path, 'file/x'), 'NOT_FOUND'],
    [join(folder.path, 'dangling'), 'NOT_FOUND'],
    [join(folder.path, `${'x'.repeat(300)}/y`), 'IO'],
  ] as const) {
    await expect(makeFolder(path), path).rejects.toMatchObject({ kind: 'io', code });
  }
  await mkdir(join(folder.path, 'ok'));
});
