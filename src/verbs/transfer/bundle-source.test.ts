import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { type RegistryServer, registryServer } from '../../../test/support/registry-server.ts';
import {
  type SyntheticBundle,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../test/support/synthetic-bundle.ts';
import { openBundle } from '../../bundle/read.ts';
import { namesRepository } from './bundle-source.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: SyntheticBundle;
let registry: RegistryServer;
let reference: string;
let pinned: string;
const at = (...names: string[]) => join(folder.path, ...names);

beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = await writeSyntheticBundle(folder.path, { arches: ['x86_64', 's390x'] });
  registry = await registryServer(at('registry'));
  reference = `${registry.host}/coreos/bundle:1`;
  expect((await cli(['push', '-b', bundle.path, reference])).code).toBe(0);
  const { digest } = await openBundle(bundle.path);
  pinned = `${registry.host}/coreos/bundle@sha256:${digest}`;
}, 120_000);
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let runs = 0;
async function make(name: string, cache: string, ...more: string[]) {
  const out = at(`out-${runs++}`);
  const argv = ['-b', name, '-a', 's390x', '-p', 'metal/pxe/initramfs', '-o', `${out}/`];
  const result = await cli([...argv, '--cache-dir', at(cache), ...more]);
  const names = await readdir(out).catch(() => []);
  const made = names[0] === undefined ? undefined : await readFile(join(out, names[0]));
  return { ...result, made };
}
const initramfs = () => bundle.targets.get('pxe/initramfs');
const kept = (cache: string) => readdir(at(cache, 'blobs'));

test('rehydrate from a reference: only what it needs, and offline once its digest is known', async () => {
  const first = await make(reference, 'cache');
  expect(first.code, first.stderr).toBe(0);
  expect(first.made).toEqual(initramfs());
  const all = await readdir(join(bundle.path, 'blobs/sha256'));
  const qemu = bundle.recipes.artifacts.find(({ platform }) => platform === 'qemu')?.recipe;
  if (qemu?.kind !== 'delta') throw new Error('qemu has a delta');
  const some = await kept('cache');
  expect(all).toEqual(expect.arrayContaining(some));
  expect(some).not.toContain(qemu.delta.sha256);
  expect((await readdir(at('cache'))).sort()).toEqual(['blobs']);

  await registry[Symbol.asyncDispose]();
  try {
    const offline = await make(pinned, 'cache');
    expect(offline, offline.stderr).toMatchObject({ code: 0, made: initramfs() });
    expect((await make(reference, 'cache')).code).toBe(7);
    expect((await make(pinned, 'empty')).code).toBe(7);
  } finally {
    registry = await registryServer(at('registry'), undefined, registry.host);
  }
});

test('an ISO that is named is not fetched', async () => {
  const made = await make(pinned, 'cache-iso', '--iso', at('live.iso'));
  expect(made, made.stderr).toMatchObject({ code: 0, made: initramfs() });
  expect(await kept('cache-iso')).not.toContain(bundle.recipes.iso.sha256);
});

test('an oci-archive, as skopeo and tar write it', async () => {
  const archive = at('bundle.ociarchive');
  await execa('skopeo', [
    ...['copy', '--all', '--insecure-policy', '--src-tls-verify=false'],
    ...[`docker://${reference}`, `oci-archive:${archive}:stable`],
  ]);
  for (const name of [archive, `oci-archive:${archive}`, `oci-archive:${archive}:stable`]) {
    const made = await make(name, 'cache-archive');
    expect(made, made.stderr).toMatchObject({ code: 0, made: initramfs() });
  }
  const plain = at('bundle.tar');
  await execa('tar', ['-C', bundle.path, '-cf', plain, '.']);
  expect(await make(plain, 'cache-tar')).toMatchObject({ code: 0, made: initramfs() });
  const cut = at('cut.tar');
  await execa('bash', ['-ec', `head -c 100000 ${plain} >${cut}`]);
  const broken = await make(cut, 'cache-cut');
  expect([3, 4], broken.stderr).toContain(broken.code);
  expect(broken.made).toBeUndefined();
  expect((await make(`oci-archive:${archive}:other`, 'cache-archive')).stderr).toContain(
    'IMAGE_TAG',
  );
});

test('inspect, stream, plan and audit take references; the environment as well', async () => {
  const more = ['--cache-dir', at('cache-verbs')];
  const shown = await cli(['inspect', reference, ...more]);
  expect(shown.code, shown.stderr).toBe(0);
  expect(shown.stdout.toString()).toContain(pinned);
  expect(shown.stdout.toString()).not.toContain('not pulled');
  const local = await cli(['stream', '-b', bundle.path]);
  const stream = await cli(['stream', '-b', reference, ...more]);
  expect(stream.stdout).toEqual(local.stdout);
  const env = { ISO_REHYDRATE_BUNDLE: reference };
  const planned = await cli(['plan', '--json', ...more], { env });
  const here = await cli(['plan', '--json', '-b', bundle.path]);
  const plan = JSON.parse(planned.stdout.toString());
  expect(plan.bundle.path).toBe(pinned);
  expect(plan.units).toEqual(JSON.parse(here.stdout.toString()).units);
  // Documents alone.
  expect(await kept('cache-verbs')).not.toContain(bundle.recipes.iso.sha256);
  const report = at('report');
  const argv = [
    'audit',
    '-b',
    pinned,
    '-a',
    's390x',
    '-p',
    'metal/pxe',
    '--report',
    report,
    ...more,
  ];
  const audited = await cli([...argv, '--iso', at('live.iso')]);
  expect(audited.code, audited.stderr).toBe(0);
  const audit = JSON.parse(await readFile(join(report, 'audit.json'), 'utf8'));
  expect(audit.bundle.path).toBe(pinned);
});

test('a source that is missing or not a bundle is an error', async () => {
  expect((await make('no-such-folder', 'cache-none')).stderr).toContain('NOT_FOUND');
  expect((await make(at('live.iso'), 'cache-none')).stderr).toContain('NOT_A_BUNDLE');
  expect((await make(`${registry.host}/coreos/gone:1`, 'cache-none')).stderr).toContain('REGISTRY');
});

test.each([
  ['registry.example.com/coreos/bundle:stable', true],
  ['registry.example.com/coreos/bundle', false],
  ['docker://registry.example.com/coreos/bundle', true],
  ['127.0.0.1:5000/bundle', true],
  [`registry.example.com/b@sha256:${'a'.repeat(64)}`, true],
  ['bundle', false],
  ['./registry.example.com/b:1', false],
  ['/srv/bundle:1', false],
  ['../a.b/bundle:1', false],
])('%s names a repository: %s', (name, expected) => {
  expect(namesRepository(name)).toBe(expected);
});
