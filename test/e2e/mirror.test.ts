import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBundle } from '../../src/bundle/read.ts';
import { openMetalCache } from '../../src/engine/cache/metal-cache.ts';
import { dehydrate } from '../../src/verbs/dehydrate/dehydrate.ts';
import { serve } from '../../src/verbs/serve/serve.ts';
import { sha256Of } from '../support/synthetic-bundle.ts';
import { type SyntheticRelease, writeSyntheticRelease } from '../support/synthetic-release.ts';
import { inView, LOOKS } from './support/browser.ts';
import { createSigner, installer, trustingGpg } from './support/installer.ts';

/**
 * The mirror of a small signed release, and the real coreos-installer as its client: its list and its downloads. The
 * keys that are built into it do not know ours, so the gpg that it calls imports ours beside them.
 */
let folder: string;
let release: SyntheticRelease;
let url: string;
let stop: () => Promise<void>;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iso-rehydrate-mirror-'));
  const signer = await createSigner(folder);
  release = await writeSyntheticRelease(at('release'), { containers: true });
  const qemu = await recompress('x-qemu.raw.gz', (input) => gzipOf(input, '-6'));
  const aws = await recompress('x-aws.vmdk.gz', (input) => gzipOf(input, '-9'));
  // A second metal disk, with 4096-byte sectors, in several blocks of xz.
  const metalPath = join(release.folder, 'x-metal.raw.xz');
  const unpacked = await execa('xz', ['-dc', metalPath], { encoding: 'buffer' });
  const disk4k = Buffer.from(unpacked.stdout);
  const options = { input: disk4k, encoding: 'buffer' } as const;
  const xz = Buffer.from((await execa('xz', ['-0', '-T2', '-c'], options)).stdout);
  await writeFile(join(release.folder, 'x-metal4k.raw.xz'), xz);
  const odd = gzipSync(disk4k, { level: 1 });
  await writeFile(join(release.folder, 'x-azure.vhd.gz'), odd);
  await release.edit((artifacts) => {
    const { metal } = artifacts;
    const was = metal?.formats['raw.xz']?.disk;
    if (metal && was) {
      const location = was.location.replace('x-metal.raw.xz', 'x-metal4k.raw.xz');
      const disk = { location, sha256: sha256Of(xz), 'uncompressed-sha256': sha256Of(disk4k) };
      metal.formats['4k.raw.xz'] = { disk };
    }
    // Node's own gzip is not reproduced.
    const location = 'https://example.com/x86_64/x-azure.vhd.gz';
    const disk = { location, sha256: sha256Of(odd), 'uncompressed-sha256': sha256Of(disk4k) };
    artifacts.azure = { release: metal?.release ?? '', formats: { 'vhd.gz': { disk } } };
    const disks = [
      artifacts.qemu?.formats['raw.gz']?.disk,
      artifacts.aws?.formats['vmdk.gz']?.disk,
    ];
    for (const [i, sha256] of [qemu, aws].entries()) Object.assign(disks[i] ?? {}, { sha256 });
    for (const { formats } of Object.values(artifacts)) {
      for (const files of Object.values(formats)) {
        for (const file of Object.values(files)) {
          Object.assign(file, { signature: `${file.location}.sig` });
        }
      }
    }
  });
  for (const name of (await readdir(release.folder)).filter((one) => one.startsWith('x-'))) {
    await signer.sign(join(release.folder, name));
  }
  await signer.end();
  const { engine, streamPath, folder: files } = release;
  const cache = await openMetalCache({ dir: at('cache'), maxBytes: 1e9 });
  const released = ['gz', 'zip', 'xz'] as const;
  await dehydrate({ streamPath, folder: files, target: at('bundle'), released, engine, cache });
  const controller = new AbortController();
  const { signal } = controller;
  const serving = await serve({
    bundle: await openBundle(at('bundle')),
    ...{ engine, cache, folder: at('images'), maxBytes: 1e9, reserve: 0, signal },
    listen: { host: '127.0.0.1', port: 0 },
    progress: () => {},
  });
  ({ url } = serving);
  stop = () => {
    controller.abort();
    return serving.ended;
  };
  await trustingGpg(folder, signer.keyring);
}, 300_000);
afterAll(async () => {
  await stop?.();
  await rm(folder, { recursive: true, force: true });
});

const gzipOf = async (input: Buffer, level: string) =>
  Buffer.from((await execa('gzip', [level], { input, encoding: 'buffer' })).stdout);

/** Compresses a .gz file of the release again; returns its SHA-256. */
async function recompress(name: string, compress: (input: Buffer) => Promise<Buffer>) {
  const path = join(release.folder, name);
  const bytes = await compress(gunzipSync(await readFile(path)));
  await writeFile(path, bytes);
  return sha256Of(bytes);
}

async function install(verb: string, args: readonly string[], trusting = true) {
  await mkdir(at('got'), { recursive: true });
  const where = ['--stream-base-url', `${url}/streams/`, '-s', 'test'];
  return execa(installer(), [verb, ...where, ...args], {
    reject: false,
    env: trusting ? { PATH: `${at('bin')}:${process.env.PATH}` } : {},
  });
}

const download = (platform: string, format: string, trusting: boolean, ...more: string[]) =>
  install(
    'download',
    ['-a', 'x86_64', '-C', at('got'), '-p', platform, '-f', format, ...more],
    trusting,
  );

describe('coreos-installer', () => {
  test('list-stream shows what the release has', async () => {
    const { exitCode, stdout, stderr } = await install('list-stream', []);
    expect(exitCode, stderr).toBe(0);
    const rows = stdout.split('\n').slice(1);
    expect(rows.map((row) => row.split(/\s+/).slice(1).join(' '))).toEqual([
      ...['aws vmdk.gz', 'azure vhd.gz', 'gcp tar.gz', 'metal 4k.raw.xz', 'metal iso', 'metal pxe'],
      'metal raw.xz',
      ...['nutanix qcow2', 'qemu raw.gz', 'vmware ova'],
    ]);
  });

  test('download, with the signature of the released file checked', async () => {
    const gz = await download('qemu', 'raw.gz', true, '--decompress');
    expect(gz.exitCode, gz.stderr).toBe(0);
    expect(gz.stderr).toContain('Good signature from "release"');
    const contents = gunzipSync(await readFile(join(release.folder, 'x-qemu.raw.gz')));
    expect((await readFile(join(at('got'), 'x-qemu.raw'))).equals(contents)).toBe(true);

    const plain = await download('nutanix', 'qcow2', true);
    expect(plain.exitCode, plain.stderr).toBe(0);
    for (const name of ['x-nutanix.qcow2', 'x-nutanix.qcow2.sig']) {
      await execa('cmp', [join(release.folder, name), join(at('got'), name)]);
    }
  });

  test('by its own keys alone, it refuses ours', async () => {
    const { exitCode, stderr } = await download('qemu', 'raw.gz', false, '--decompress');
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('GPG verification failure');
  });

  // It refuses files of less than 1 MiB, as these are, unless it decompresses them.
  test.each([
    ['raw.xz', 'x-metal.raw'],
    ['4k.raw.xz', 'x-metal4k.raw'],
  ])('download of metal %s, with the signature of the .xz file checked', async (format, name) => {
    const { exitCode, stderr } = await download('metal', format, true, '--decompress');
    expect(exitCode, stderr).toBe(0);
    expect(stderr).toContain('Good signature from "release"');
    const { stdout } = await execa('xz', ['-dc', join(release.folder, `${name}.xz`)], {
      encoding: 'buffer',
    });
    expect((await readFile(join(at('got'), name))).equals(Buffer.from(stdout))).toBe(true);
  });

  test('what can only be unpacked: refused by default, there with --insecure', async () => {
    const refused = await download('azure', 'vhd.gz', true);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain('signature not found');
    const { exitCode, stderr } = await download('azure', 'vhd.gz', true, '--insecure');
    expect(exitCode, stderr).toBe(0);
    const contents = gunzipSync(await readFile(join(release.folder, 'x-azure.vhd.gz')));
    expect((await readFile(join(at('got'), 'x-azure.vhd'))).equals(contents)).toBe(true);
  });
});

describe('the page for people', () => {
  test.each([
    { width: 1280, scheme: 'light' },
    { width: 1280, scheme: 'dark' },
    { width: 400, scheme: 'light' },
    { width: 400, scheme: 'dark' },
  ] as const)('in a browser: %j', async (view) => {
    await inView(url, view, async ({ evaluate }) => {
      expect(await evaluate(LOOKS)).toEqual([]);
      const text = await evaluate<string>('document.body.innerText');
      expect(text).toContain(sha256Of(await readFile(join(release.folder, 'x-qemu.raw.gz'))));
      for (const said of ['coreos-installer', 'openshift-install', 'podman machine', 'not made']) {
        expect(text).toContain(said);
      }
      const paper = await evaluate<string>('getComputedStyle(document.body).backgroundColor');
      expect(paper).toBe(view.scheme === 'dark' ? 'rgb(17, 17, 19)' : 'rgb(255, 255, 255)');
    });
  });
});
