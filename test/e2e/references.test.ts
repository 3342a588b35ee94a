import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushImages, writeDigestOf } from '../support/machine-os-images.ts';
import { type RegistryServer, registryServer } from '../support/registry-server.ts';
import { cli } from './support/cli.ts';
import { fixtureArches, fixtureDir, pick } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { releaseBundle } from './support/release-bundle.ts';

/**
 * What a site has that mirrors OpenShift: `machine-os-images` with the ISO, and a bundle without it, both in a
 * registry; and an empty machine with Node.
 */
const arch = fixtureArches().find((one) => one === 's390x') ?? fixtureArches()[0] ?? 'x86_64';
const GO = { x86_64: 'amd64', aarch64: 'arm64', ppc64le: 'ppc64le', s390x: 's390x' } as const;
const platform = arch === 's390x' ? 'ibmcloud' : 'qemu';
const target = () => pick(platform, 'qcow2.xz', 'disk', arch);

let folder: string;
let registry: RegistryServer;
let reference: string;
let image: string;
const stream = join(fixtureDir(), 'stream.json');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'references-'));
  registry = await registryServer(join(folder, 'registry'));
  reference = `${registry.host}/coreos/bundle:stable`;
  image = `docker://${registry.host}/openshift/machine-os-images:latest`;
  const { bundle } = await releaseBundle();
  const pushed = await cli([
    ...['push', '-b', bundle, reference, '--arch', arch, '--platform', platform, '--quiet'],
  ]);
  expect(pushed.exitCode, pushed.stderr).toBe(0);
  const iso = join(
    fixtureDir(),
    pick('metal', 'iso', 'disk', arch).released.split('/').at(-1) ?? '',
  );
  await writeDigestOf(iso, join(folder, 'iso.sha256'));
  // The ISO of another stream lies beside it.
  await execa('cp', [iso, join(folder, 'other.iso')]);
  await execa('dd', [
    ...['if=/dev/zero', `of=${join(folder, 'other.iso')}`, 'bs=4096', 'seek=100', 'count=1'],
    'conv=notrunc',
  ]);
  await pushImages(folder, image.slice('docker://'.length), [
    {
      architecture: GO[arch as keyof typeof GO],
      compression: 'gzip',
      files: {
        [`coreos/coreos-${arch}.iso`]: join(folder, 'other.iso'),
        [`coreos/coreos10-${arch}.iso`]: iso,
        [`coreos/coreos10-${arch}.iso.sha256`]: join(folder, 'iso.sha256'),
        'coreos/coreos-stream.json': stream,
      },
    },
  ]);
  await rm(join(folder, 'other.iso'));
  await rm(join(folder, 'machine-os-images'), { recursive: true });
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('npx, one command, from an empty home: bundle and ISO from a registry, proved by a stream of one’s own', async () => {
  await execa('npm', ['pack', '--ignore-scripts', '--pack-destination', folder]);
  const [archive = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  const home = join(folder, 'home');
  await mkdir(home);
  const config = async (name: string) =>
    (await execa('npm', ['config', 'get', name])).stdout.trim();
  const env = {
    HOME: home,
    PATH: [resolve(process.execPath, '..'), process.env.PATH].join(delimiter),
    npm_config_registry: await config('registry'),
    npm_config_cache: await config('cache'),
    npm_config_update_notifier: 'false',
    ...(process.env.NODE_EXTRA_CA_CERTS
      ? { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS }
      : {}),
  };
  const out = join(folder, 'out');
  await mkdir(out);
  const { stderr, stdout } = await execa(
    'npx',
    [
      ...['--yes', '--package', join(folder, archive), 'iso-rehydrate'],
      ...['--arch', arch, '--platform', platform, '--bundle', reference, '--iso', image],
      ...['--engine', 'native', '--trust', stream],
    ],
    { cwd: out, env, extendEnv: false },
  );
  const { name, sha256 } = target();
  expect(stdout).toBe(`${sha256}  ${name}`);
  expect(stderr).toContain(`vouched for by ${stream}`);
  expect(await sha256sum(join(out, name))).toBe(sha256);
  expect(await readdir(out)).toEqual([name]);
  // What came over the network is kept, the next run uses it.
  expect(await readdir(join(home, '.cache/iso-rehydrate'))).toEqual(['blobs', 'metal']);
});

test('pull --without-iso, and the ISO from the image; audited by the same stream', async () => {
  const bundle = join(folder, 'pulled');
  const cache = ['--cache-dir', join(folder, 'home/.cache/iso-rehydrate')];
  const pulled = await cli([
    ...['pull', reference, '--without-iso', '-o', bundle, '--trust', stream, '--quiet'],
  ]);
  expect(pulled.exitCode, pulled.stderr).toBe(0);
  const report = join(folder, 'report');
  const audited = await cli([
    ...['audit', '-b', bundle, '-p', platform, '--iso', image, '--report', report, '--quiet'],
    ...['--trust', stream, '--engine', 'native', ...cache],
  ]);
  expect(audited.exitCode, audited.stderr).toBe(0);
  expect(audited.stdout).toContain('GOOD');

  // An attacker's stream of his own has another digest: whoever trusts the genuine one is not deceived.
  const other = JSON.parse(await readFile(stream, 'utf8'));
  other.architectures[arch].artifacts[platform].formats['qcow2.xz'].disk['uncompressed-sha256'] =
    'a'.repeat(64);
  await writeFile(join(folder, 'other.json'), JSON.stringify(other));
  const refused = await cli([
    ...['-b', reference, '-a', arch, '-p', platform, '--iso', image, '-o', join(folder, 'no')],
    ...['--trust', join(folder, 'other.json'), '--engine', 'native', ...cache],
  ]);
  expect(refused.exitCode).toBe(4);
  expect(refused.stderr).toContain('TRUST_ABSENT');
});
