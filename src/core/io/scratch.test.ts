import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { makeScratch, reclaimFiles, reclaimScratch } from './scratch.ts';

const TEMPORARY = /^\.iso-rehydrate-[0-9a-f]{12}\.part$/;

/** A process that has a scratch folder and writes a file, until it is killed. */
async function worker(folder: string) {
  const script = `
    import { makeScratch } from '${import.meta.dirname}/scratch.ts';
    import { writeAtomically } from '${import.meta.dirname}/atomic.ts';
    import { writeFile } from 'node:fs/promises';
    const { path } = await makeScratch('${folder}/work-');
    await writeFile(path + '/disk.raw', 'x');
    await writeAtomically('${folder}/out', async (sink) => {
      await sink.write(Buffer.from('half'));
      console.log('ready');
      await new Promise((done) => setTimeout(done, 600_000));
    });`;
  const child = execa(process.execPath, ['--input-type=module', '-e', script], { reject: false });
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', () => resolve());
    child.then(({ stderr }) => reject(new Error(stderr)), reject);
  });
  return async () => {
    child.kill('SIGKILL');
    await child;
  };
}

test('scratch of a killed process is removed; scratch of a living one is not', async () => {
  await using folder = await temporaryFolder();
  const kill = await worker(folder.path);
  const prefix = join(folder.path, 'work-');
  const reclaim = async () => {
    await reclaimScratch(prefix);
    await reclaimFiles(folder.path, TEMPORARY);
    return (await readdir(folder.path)).sort();
  };
  const [file = '', work = '', ...others] = await reclaim();
  expect(file).toMatch(TEMPORARY);
  expect(work).toMatch(/^work-\w{6}$/);
  expect(others).toEqual([]);
  await kill();
  expect(await reclaim()).toEqual([]);
});

test('nothing else is touched', async () => {
  await using folder = await temporaryFolder();
  const victim = join(folder.path, 'victim');
  await mkdir(victim);
  await writeFile(join(victim, 'thesis.txt'), 'x');
  await symlink(victim, join(folder.path, 'work-abcdef'));
  await writeFile(join(folder.path, 'work-123456'), 'a file');
  await mkdir(join(folder.path, 'work-of-mine'));
  await mkdir(join(folder.path, '.iso-rehydrate-0123456789ab.part'));
  const before = await readdir(folder.path, { recursive: true });
  await reclaimScratch(join(folder.path, 'work-'));
  await reclaimFiles(folder.path, TEMPORARY);
  expect(await readdir(folder.path, { recursive: true })).toEqual(before);
  await reclaimScratch(join(folder.path, 'none', 'work-'));
});

test('many create and reclaim at the same time, and none loses its own', async () => {
  await using folder = await temporaryFolder();
  const prefix = join(folder.path, 'work-');
  const made = await Promise.all(
    Array.from({ length: 30 }, async () => {
      await reclaimScratch(prefix);
      const scratch = await makeScratch(prefix);
      await writeFile(join(scratch.path, 'mine'), 'x');
      return scratch;
    }),
  );
  const names = made.map(({ path }) => basename(path)).sort();
  expect((await readdir(folder.path)).sort()).toEqual(names);
  for (const scratch of made) await scratch[Symbol.asyncDispose]();
  expect(await readdir(folder.path)).toEqual([]);
});
