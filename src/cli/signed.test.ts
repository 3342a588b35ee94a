import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { sha256Of, temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../test/support/synthetic-release.ts';
import { openBundle } from '../bundle/read.ts';
import { openMetalCache } from '../engine/cache/metal-cache.ts';
import { readKeyring } from '../release/download/keyring.ts';
import { serve } from '../verbs/serve/serve.ts';

/** The release's own signatures: carried in the bundle, and checked of the released bytes. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
let gpg: (...args: string[]) => Promise<string>;
const at = (name: string) => join(folder.path, name);
const released = (name: string) => readFile(join(release.folder, name));
/** That of nutanix is of another file, that of vmware by a stranger; the kernel has none. */
const SIGNED = ['x-live.iso', 'x-qemu.raw.gz', 'x-gcp.tar.gz', 'x-metal.raw.xz'];

beforeAll(async () => {
  folder = await temporaryFolder();
  const home = at('home');
  await mkdir(home, { mode: 0o700 });
  gpg = async (...args) => {
    const fixed = ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback'];
    return (await execa('gpg', [...fixed, '--passphrase', '', ...args])).stdout;
  };
  for (const name of ['release', 'stranger']) {
    await gpg('--quick-gen-key', name, 'ed25519', 'sign', 'never');
  }
  await gpg('--output', at('keys.gpg'), '--export', 'release');
  release = await writeSyntheticRelease(at('release'), { containers: true });
  // Node's own gzip is not reproduced.
  const path = join(release.folder, 'x-qemu.raw.gz');
  const input = gunzipSync(await readFile(path));
  const { stdout } = await execa('gzip', ['-6', '-n'], { input, encoding: 'buffer' });
  await writeFile(path, stdout);
  await release.edit((artifacts) => {
    const disk = artifacts.qemu?.formats['raw.gz']?.disk;
    if (disk) disk.sha256 = sha256Of(Buffer.from(stdout));
  });
  const sign = (by: string, name: string, as = name) =>
    gpg(
      '-u',
      by,
      '--output',
      join(release.folder, `${as}.sig`),
      '--detach-sign',
      join(release.folder, name),
    );
  for (const name of SIGNED) await sign('release', name);
  await sign('release', 'x-live.iso', 'x-nutanix.qcow2');
  await sign('stranger', 'x-vmware.ova');
  await writeFile(join(release.folder, 'x-aws.vmdk.gz.sig'), 'not a signature');
  await release.edit((artifacts) => {
    for (const { formats } of Object.values(artifacts)) {
      for (const files of Object.values(formats)) {
        for (const file of Object.values(files))
          Object.assign(file, { signature: `${file.location}.sig` });
      }
    }
  });
  const { code, stderr } = await dehydrate(at('bundle'));
  expect(code, stderr).toBe(0);
}, 300_000);
afterAll(async () => {
  await execa('gpgconf', ['--homedir', at('home'), '--kill', 'all'], { reject: false });
  await folder[Symbol.asyncDispose]();
});

const dehydrate = (target: string, ...more: string[]) =>
  cli(
    [
      ...['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder],
      ...['--cache-dir', at('cache'), '-o', target, ...more],
    ],
    { createEngine: () => release.engine },
  );

const run = (...argv: string[]) =>
  cli([...argv, '-b', at('bundle'), '--cache-dir', at('cache'), '--arch', 'x86_64'], {
    createEngine: () => release.engine,
  });

const rehydrate = (platform: string, ...more: string[]) =>
  run('-p', platform, '-o', `${at('out')}/`, '--keyring', at('keys.gpg'), '--force', ...more);

test('the bundle carries the signatures that lie beside the files, byte for byte', async () => {
  const bundle = await openBundle(at('bundle'));
  const [recipes] = bundle.recipes;
  const carried = new Map(
    recipes?.artifacts.map(({ released: { name, signature } }) => [name, signature] as const),
  );
  for (const name of [...SIGNED, 'x-nutanix.qcow2', 'x-vmware.ova']) {
    const blob = carried.get(name);
    if (blob === undefined) throw new Error(`no signature of ${name}`);
    expect(await bundle.readWholeBlob(blob, 1 << 20)).toEqual(await released(`${name}.sig`));
  }
  expect(carried.get('x-live-kernel')).toBeUndefined();
  expect(carried.get('x-aws.vmdk.gz')).toBeUndefined();
});

test('gpgv accepts each carried signature for the released file that comes out', async () => {
  for (const platform of ['qemu', 'gcp', 'metal/iso']) {
    const { code, stderr } = await rehydrate(platform, '--released');
    expect(code, stderr).toBe(0);
  }
  const bundle = await openBundle(at('bundle'));
  for (const { released: file } of bundle.recipes[0]?.artifacts ?? []) {
    if (!['x-qemu.raw.gz', 'x-gcp.tar.gz', 'x-live.iso'].includes(file.name)) continue;
    if (file.signature === undefined) throw new Error(`no signature of ${file.name}`);
    const argv = ['--keyring', at('keys.gpg'), bundle.blobPath(file.signature)];
    await execa('gpgv', [...argv, join(at('out'), file.name)]);
  }
});

test('a target is proved by the signature of the released file around it', async () => {
  const { code, stderr, stdout } = await rehydrate('qemu');
  expect(code, stderr).toBe(0);
  expect(stdout.toString()).toContain('x-qemu.raw');
  // And one that is there already, too.
  expect((await rehydrate('qemu')).code).toBe(0);
  await rm(join(at('out'), 'x-qemu.raw'));
});

test.each([
  ['nutanix', 4, 'is not the file that was signed'],
  ['vmware', 4, 'cannot be checked'],
  ['metal/pxe/kernel', 4, 'the bundle does not carry it'],
  ['aws', 4, 'the bundle does not carry it'],
  ['metal/raw', 4, 'only its contents can be made'],
])('%s: no file without a good signature', async (platform, exit, why) => {
  const output = at(`none-${platform.replaceAll('/', '-')}`);
  const argv = ['-p', platform, '-o', `${output}/`, '--keyring', at('keys.gpg')];
  const { code, stderr } = await run(...argv);
  expect(code, stderr).toBe(exit);
  expect(stderr).toContain(why);
  const left = await execa('find', [output, '-type', 'f']);
  expect(left.stdout).toBe('');
});

test('audit: a wrong signature is BAD, one that proves nothing is FAIL', async () => {
  const argv = ['audit', '--released', '--keyring', at('keys.gpg'), '--report', at('report')];
  const { code, stdout } = await run(...argv);
  expect(code).toBe(4);
  const lines = stdout.toString();
  expect(lines).toMatch(/GOOD +x86_64 qemu /);
  expect(lines).toMatch(/GOOD +x86_64 metal\/iso /);
  expect(lines).toMatch(/BAD +x86_64 nutanix .*not the file that was signed/);
  expect(lines).toMatch(/FAIL +x86_64 vmware /);
  expect(lines).toMatch(/UNCOVERED +x86_64 metal\/raw .*does not say how/);
  const report = JSON.parse(await readFile(join(at('report'), 'audit.json'), 'utf8'));
  expect(report.request).toMatchObject({
    released: true,
    keyring: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  const qemu = report.architectures[0].artifacts.find(
    ({ label }: { label: string }) => label === 'qemu',
  );
  expect(qemu).toMatchObject({
    name: 'x-qemu.raw.gz',
    sha256: sha256Of(await released('x-qemu.raw.gz')),
    attestation: 'sha256',
    signature: 'good',
  });
});

test('--accept-key needs --keyring, and a keyring needs keys', async () => {
  expect((await run('-p', 'qemu', '--accept-key', 'A'.repeat(40))).code).toBe(2);
  const { code, stderr } = await run('-p', 'qemu', '--keyring', release.streamPath);
  expect(code).toBe(3);
  expect(stderr).toContain('is not an OpenPGP keyring');
});

test('dehydrate --download fetches the signatures; without one, the bundle is as good', async () => {
  await mkdir(at('served'), { recursive: true });
  const server = createServer((request, response) => {
    readFile(join(release.folder, decodeURIComponent(request.url ?? '').slice(1))).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const stream = (await readFile(release.streamPath, 'utf8')).replaceAll(
      'https://example.com/x86_64',
      `http://127.0.0.1:${port}`,
    );
    await writeFile(at('stream.json'), stream);
    const { code, stderr } = await cli(
      [
        ...['dehydrate', '--stream', at('stream.json'), '--artifacts', at('fetched')],
        ...['--download', '--cache-dir', at('cache'), '-o', at('fetched-bundle')],
      ],
      { createEngine: () => release.engine },
    );
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('the bundle will not have its signature');
    const [recipes] = (await openBundle(at('fetched-bundle'))).recipes;
    const qemu = recipes?.artifacts.find(({ platform }) => platform === 'qemu');
    expect(qemu?.released.signature?.sha256).toBe(sha256Of(await released('x-qemu.raw.gz.sig')));
  } finally {
    server.close();
  }
});

test('serve: released names, signatures and reasons; nothing unsigned with a keyring', async () => {
  const controller = new AbortController();
  const { url, ended } = await serve({
    bundle: await openBundle(at('bundle')),
    engine: release.engine,
    cache: await openMetalCache({ dir: at('cache'), maxBytes: 1e9 }),
    folder: at('images'),
    maxBytes: 1e9,
    reserve: 0,
    keyring: { keys: await readKeyring(at('keys.gpg')) },
    listen: { host: '127.0.0.1', port: 0 },
    signal: controller.signal,
    progress: () => {},
  });
  try {
    const get = async (path: string) => {
      const response = await fetch(path.startsWith('http') ? path : `${url}${path}`);
      return { status: response.status, body: Buffer.from(await response.arrayBuffer()) };
    };
    const original = JSON.parse(await readFile(release.streamPath, 'utf8'));
    const stream = JSON.parse((await get('/stream.json')).body.toString());
    const disk = (of: typeof stream, platform: string, format: string) =>
      of.architectures.x86_64.artifacts[platform].formats[format].disk;
    const [qemu, was] = [stream, original].map((of) => disk(of, 'qemu', 'raw.gz'));
    expect(qemu).toEqual({
      ...was,
      location: `${url}/x86_64/x-qemu.raw.gz`,
      signature: `${url}/x86_64/x-qemu.raw.gz.sig`,
    });
    expect((await get(qemu.location)).body).toEqual(await released('x-qemu.raw.gz'));
    expect((await get(qemu.signature)).body).toEqual(await released('x-qemu.raw.gz.sig'));
    // The contents are beside it.
    const contents = await get('/x86_64/x-qemu.raw');
    expect(sha256Of(contents.body)).toBe(was['uncompressed-sha256']);

    // What cannot be made as released keeps its keys, and says why.
    const metal = disk(stream, 'metal', 'raw.xz');
    expect(Object.keys(metal).sort()).toEqual(
      Object.keys(disk(original, 'metal', 'raw.xz')).sort(),
    );
    expect(metal.location).toBe(`${url}/x86_64/x-metal.raw`);
    expect(metal.sha256).toBe(metal['uncompressed-sha256']);
    const why = await get(metal.signature);
    expect(why.status).toBe(404);
    expect(why.body.toString()).toContain('dehydrate --released xz');
    expect((await get('/x86_64/x-metal.raw.xz')).body.toString()).toContain(
      'how it was compressed',
    );

    // Nothing is sent that the release has not signed.
    expect((await get('/x86_64/x-nutanix.qcow2')).status).toBe(500);
    expect((await get('/x86_64/x-vmware.ova')).status).toBe(500);
  } finally {
    controller.abort();
    await ended;
  }
});
