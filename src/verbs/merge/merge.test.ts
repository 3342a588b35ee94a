import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { type RegistryServer, registryServer } from '../../../test/support/registry-server.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../../test/support/synthetic-bundle.ts';
import { blobPath } from '../../bundle/blobs.ts';
import { openBundle } from '../../bundle/read.ts';
import { ARCHITECTURES, type Arch } from '../../core/arch.ts';

/** The bundle of a single job for all architectures, and the bundles of one job per architecture. */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: RegistryServer;
let whole: string;
const parts = new Map<Arch, string>();
const at = (...names: string[]) => join(folder.path, ...names);
const part = (arch: Arch) => parts.get(arch) ?? '';

beforeAll(async () => {
  folder = await temporaryFolder();
  registry = await registryServer(at('registry'));
  const make = async (name: string, arches: readonly Arch[], qemu = 'qemu') => {
    await mkdir(at(name));
    const options = { arches, streamArches: ARCHITECTURES, qemu };
    return (await writeSyntheticBundle(at(name), options)).path;
  };
  whole = await make('whole', ARCHITECTURES);
  for (const arch of ARCHITECTURES) parts.set(arch, await make(arch, [arch]));
  await make('other', ['s390x'], 'other');
}, 120_000);
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

test('merge gives the same bytes as a single job, in any order, from folders and references', async () => {
  const reference = `${registry.host}/coreos/part:1`;
  expect((await cli(['push', '-b', part('s390x'), reference])).code).toBe(0);
  const cache = ['--cache-dir', at('cache')];
  const names = ['x86_64', 'ppc64le', 'aarch64'].map((arch) => part(arch as Arch));
  const { code, stdout, stderr } = await cli([
    ...['merge', reference, ...names, part('x86_64'), '-o', at('merged'), ...cache],
  ]);
  expect(code, stderr).toBe(0);
  const { digest } = await openBundle(whole);
  expect(stdout.toString()).toContain(`sha256:${digest}`);
  await execa('diff', ['-r', whole, at('merged')]);
});

test('push --merge adds an architecture to the tag, and pulls nothing', async () => {
  const reference = `${registry.host}/coreos/merged:1`;
  const push = (arch: Arch) => cli(['push', '-b', part(arch), reference, '--merge']);
  // Starting without a tag, each architecture by its own job.
  for (const arch of ['s390x', 'x86_64', 'aarch64', 'ppc64le'] as const) {
    const { code, stderr } = await push(arch);
    expect(code, stderr).toBe(0);
  }
  const { digest } = await openBundle(whole);
  const again = await push('s390x');
  expect(again.stdout.toString()).toBe(`${registry.host}/coreos/merged@sha256:${digest}\n`);
  expect((await cli(['pull', reference, '-o', at('pulled')])).code).toBe(0);
  await execa('diff', ['-r', join(whole, 'blobs'), join(at('pulled'), 'blobs')]);
  // Without it, the tag is replaced.
  expect((await cli(['push', '-b', part('s390x'), reference])).code).toBe(0);
  expect((await cli(['pull', reference, '-o', at('replaced')])).code).toBe(0);
  expect((await openBundle(at('replaced'))).recipes).toHaveLength(1);
});

test('architectures pushed at the same time are all in the index in the end', async () => {
  const reference = `${registry.host}/coreos/busy:1`;
  const pushes = ARCHITECTURES.map((arch) =>
    cli(['push', '-b', part(arch), reference, '--merge', '--json']),
  );
  for (const { code, stderr } of await Promise.all(pushes)) expect(code, stderr).toBe(0);
  // A slower job may overwrite the index after a job has checked it: one more round settles this.
  for (const arch of ARCHITECTURES) await cli(['push', '-b', part(arch), reference, '--merge']);
  expect((await cli(['pull', reference, '-o', at('busy')])).code).toBe(0);
  expect((await openBundle(at('busy'))).digest).toBe((await openBundle(whole)).digest);
});

test('bundles that do not belong together, or are damaged, are refused, and nothing is written', async () => {
  const merge = (...names: string[]) => cli(['merge', ...names, '-o', at('bad'), '--no-cache']);
  const streams = await merge(part('x86_64'), at('other/bundle'));
  expect(streams).toMatchObject({ code: 2, stderr: expect.stringContaining('MERGE_STREAMS') });
  const reference = `${registry.host}/coreos/mixed:1`;
  expect((await cli(['push', '-b', part('x86_64'), reference])).code).toBe(0);
  const pushed = await cli(['push', '-b', at('other/bundle'), reference, '--merge']);
  expect(pushed).toMatchObject({ code: 2, stderr: expect.stringContaining('MERGE_STREAMS') });

  const copy = at('copy');
  await execa('cp', ['-r', part('s390x'), copy]);
  const [recipes] = (await openBundle(copy)).recipes;
  const path = blobPath(copy, recipes?.iso.sha256 ?? ('' as never));
  const bytes = await readFile(path);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  await writeFile(path, bytes);
  expect(await merge(part('x86_64'), copy)).toMatchObject({ code: 0 });
  await execa('rm', ['-r', at('bad')]);
  expect(await merge(copy)).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('BLOB_DIGEST'),
  });
  await expect(readFile(at('bad/index.json'))).rejects.toThrow();
});
