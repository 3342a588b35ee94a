import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { meeting, stagedEngine } from '../../test/support/staged-engine.ts';
import { temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../test/support/synthetic-release.ts';

/** Several runs that make the same thing at the same time. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
const at = (...names: string[]) => join(folder.path, ...names);

const dehydrate = (target: string, engine = release.engine) =>
  cli(
    [
      ...['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder],
      ...['-o', target, '--no-cache'],
    ],
    { createEngine: () => engine },
  );

beforeAll(async () => {
  folder = await temporaryFolder();
  release = await writeSyntheticRelease(at('release'), { containers: true });
  const { code, stderr } = await dehydrate(at('bundle'));
  expect(code, stderr).toBe(0);
}, 120_000);
afterAll(() => folder[Symbol.asyncDispose]());

const rehydrate = (stage: () => Promise<void>, ...more: string[]) =>
  cli(['-b', at('bundle'), '-a', 'x86_64', '-o', at('out/'), '--no-cache', ...more], {
    createEngine: () => stagedEngine(release.engine, stage),
  });

test.each([
  ['the image', ['-p', 'qemu,aws']],
  ['the released file', ['-p', 'vmware,gcp', '--released']],
])('%s by two runs: both succeed, and the result is complete', async (_what, argv) => {
  await rm(at('out'), { recursive: true, force: true });
  // Both have seen an empty folder before either writes.
  const together = meeting(2);
  const runs = await Promise.all([rehydrate(together, ...argv), rehydrate(together, ...argv)]);
  for (const { code, stderr } of runs) expect(code, stderr).toBe(0);
  const names = await readdir(at('out'));
  expect(names).toHaveLength(2);
  expect(names.filter((name) => name.endsWith('.part'))).toEqual([]);
  const lines = runs.map(({ stdout }) => stdout.toString().split('\n').sort());
  expect(lines[0]).toEqual(lines[1]);
});

test('a file with different content that appears in the meantime stays, and is an error', async () => {
  await rm(at('out'), { recursive: true, force: true });
  const path = at('out/x-qemu.raw');
  const { code, stderr } = await rehydrate(() => writeFile(path, 'mine'), '-p', 'qemu');
  expect(code, stderr).toBe(7);
  expect(stderr).toContain('[EXISTS]');
  expect(await readFile(path, 'utf8')).toBe('mine');
  expect(await readdir(at('out'))).toEqual(['x-qemu.raw']);
});

test('one bundle by two runs: the final bundle is complete', async () => {
  const together = meeting(2);
  const engine = stagedEngine(release.engine, together);
  const runs = await Promise.all([dehydrate(at('both'), engine), dehydrate(at('both'), engine)]);
  const codes = runs.map(({ code }) => code).sort();
  expect(codes[0], runs.map(({ stderr }) => stderr).join('\n')).toBe(0);
  expect(await readdir(at('both/blobs/sha256'))).toEqual(await readdir(at('bundle/blobs/sha256')));
  expect((await readdir(folder.path)).filter((name) => name.startsWith('.'))).toEqual([]);
});
