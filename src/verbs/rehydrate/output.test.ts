import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { targetFile } from '../make/made-file.ts';
import { planFiles, resolveOutput } from './output.ts';

const bytes = Buffer.from('the image');

function artifact(name: string): RecipeArtifact {
  const sha256 = sha256Of(bytes);
  return {
    platform: 'qemu',
    format: 'qcow2',
    file: 'disk',
    release: '1',
    name,
    size: bytes.length,
    sha256,
    attestation: 'sha256',
    compression: 'none',
    container: 'qcow2',
    released: { name, location: '', sha256 },
    recipe: { kind: 'iso' },
  };
}

const file = (name: string) => targetFile(artifact(name));

test('-o is a folder or a file, as users expect', async () => {
  await using folder = await temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  await mkdir(at('there'));
  await writeFile(at('file'), '');
  expect(await resolveOutput(at('there'), 1)).toEqual({ kind: 'folder', path: at('there') });
  expect(await resolveOutput(at('new'), 1)).toEqual({ kind: 'file', path: at('new') });
  expect(await resolveOutput(`${at('new')}/`, 1)).toMatchObject({ kind: 'folder' });
  expect(await resolveOutput(at('new'), 2)).toMatchObject({ kind: 'folder' });
  expect(await resolveOutput(at('file'), 1)).toMatchObject({ kind: 'file' });
  await expect(resolveOutput(at('file'), 2)).rejects.toMatchObject({ code: 'OUTPUT_NOT_A_FOLDER' });
  await expect(resolveOutput(`${at('file')}/`, 1)).rejects.toMatchObject({ kind: 'io' });
  expect(await readdir(folder.path)).toEqual(['file', 'there']);
});

test('an identical existing file is kept; a different one is an error without --force', async () => {
  await using folder = await temporaryFolder();
  const output = { kind: 'folder', path: folder.path } as const;
  const plan = (force: boolean) => planFiles([file('a.img')], output, { force });
  expect(await plan(false)).toMatchObject([{ present: false, path: join(folder.path, 'a.img') }]);
  await writeFile(join(folder.path, 'a.img'), bytes);
  // What a run leaves that is killed after the file had its name.
  await writeFile(join(folder.path, '.iso-rehydrate-0123456789ab.part'), bytes);
  expect(await plan(false)).toMatchObject([{ present: true }]);
  expect(await readdir(folder.path)).toEqual(['a.img']);
  await writeFile(join(folder.path, 'a.img'), 'THE image');
  await expect(plan(false)).rejects.toMatchObject({ code: 'OUTPUT_EXISTS' });
  expect(await plan(true)).toMatchObject([{ present: false }]);
});

test('two artifacts with the same path, and paths that are not files, are errors', async () => {
  await using folder = await temporaryFolder();
  const output = { kind: 'folder', path: folder.path } as const;
  await expect(planFiles([file('a'), file('a')], output, { force: true })).rejects.toMatchObject({
    code: 'OUTPUT_CLASH',
  });
  await mkdir(join(folder.path, 'd'));
  await expect(planFiles([file('d')], output, { force: true })).rejects.toMatchObject({
    code: 'OUTPUT_EXISTS',
  });
  await symlink('/nonexistent', join(folder.path, 'l'));
  await expect(planFiles([file('l')], output, { force: false })).rejects.toMatchObject({
    code: 'OUTPUT_EXISTS',
  });
});
