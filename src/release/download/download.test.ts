import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { type Fault, fileServer } from '../../../test/support/file-server.ts';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { writeSyntheticRelease } from '../../../test/support/synthetic-release.ts';
import { fetchFile } from '../../core/http/fetch-file.ts';

const BYTES = noise(700_000, 'file');
const FILES = new Map([['dir/file', BYTES]]);

async function fetchFrom(
  fault: Fault | undefined,
  folder: string,
  more: Partial<Parameters<typeof fetchFile>[0]> = {},
) {
  await using server = await fileServer(FILES, fault);
  const path = join(folder, 'file');
  const url = `${server.url}/dir/file`;
  const sha256 = sha256Of(BYTES);
  const error = await fetchFile({ url, path, sha256, attempts: 2, pause: 1, ...more }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, requests: server.requests, left: (await readdir(folder)).sort() };
}

test('a complete file arrives, and nothing else', async () => {
  await using folder = await temporaryFolder();
  let last = 0;
  const { error, requests, left } = await fetchFrom(undefined, folder.path, {
    onBytes: (done, total) => {
      expect(total).toBe(BYTES.length);
      last = done;
    },
  });
  expect(error).toBeUndefined();
  expect(requests).toEqual(['GET /dir/file']);
  expect(left).toEqual(['file']);
  expect(last).toBe(BYTES.length);
  expect(await readFile(join(folder.path, 'file'))).toEqual(BYTES);
});

/** Sends some of what was asked for, then hangs up. */
function hangUpAfter(bytes: number, times: number): Fault {
  let left = times;
  return ({ headers }, response, body) => {
    if (left-- <= 0) return false;
    const start = Number(/\d+/.exec(headers.range ?? '0')?.[0]);
    const part = body.subarray(start, start + bytes);
    response.writeHead(headers.range ? 206 : 200, {
      'content-length': body.length - start,
      'content-range': `bytes ${start}-${body.length - 1}/${body.length}`,
    });
    response.write(part, () => setTimeout(() => response.destroy(), 20));
    return true;
  };
}

test('a broken download is resumed where it stopped, as long as there is progress', async () => {
  await using folder = await temporaryFolder();
  const { error, requests } = await fetchFrom(hangUpAfter(150_000, 4), folder.path);
  expect(error).toBeUndefined();
  expect(requests).toHaveLength(5);
  expect(requests.at(-1)).toMatch(/^GET \/dir\/file bytes=[1-9]\d+-$/);
  expect(await readFile(join(folder.path, 'file'))).toEqual(BYTES);
});

test('the part of an earlier run is hashed and continued', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'file.part'), BYTES.subarray(0, 300_000));
  const { error, requests } = await fetchFrom(undefined, folder.path);
  expect(error).toBeUndefined();
  expect(requests).toEqual(['GET /dir/file bytes=300000-']);
  expect(await readFile(join(folder.path, 'file'))).toEqual(BYTES);
});

test.each([
  ['of another file', noise(300_000, 'other'), undefined],
  ['too long', noise(800_000, 'other'), undefined],
  ['whole', BYTES, undefined],
  [
    'right, from a server that knows no ranges',
    BYTES.subarray(0, 9),
    ((_request, response, body) => {
      response.end(body);
      return true;
    }) satisfies Fault,
  ],
])('a part that is %s comes to a good end', async (_name, part, fault) => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'file.part'), part);
  const { error, left } = await fetchFrom(fault, folder.path);
  expect(error).toBeUndefined();
  expect(left).toEqual(['file']);
  expect(await readFile(join(folder.path, 'file'))).toEqual(BYTES);
});

const answer =
  (status: number): Fault =>
  (_request, response) => {
    response.writeHead(status).end('no');
    return true;
  };

test.each([
  ['other bytes', undefined, { sha256: sha256Of(noise(3, 'x')) }, 'DOWNLOAD_DIGEST', 1],
  ['more bytes', undefined, { size: 1000 }, 'DOWNLOAD_SIZE', 1],
  ['no such file', answer(404), {}, 'DOWNLOAD', 1],
  ['a server that is ill', answer(503), {}, 'DOWNLOAD', 2],
  ['no HTTP', undefined, { url: 'file:///etc/passwd' }, 'DOWNLOAD_URL', 0],
  ['nobody there', undefined, { url: 'http://127.0.0.1:1/x' }, 'DOWNLOAD', 0],
] as const)('%s: no file, and an error', async (_name, fault, more, code, count) => {
  await using folder = await temporaryFolder();
  const { error, requests, left } = await fetchFrom(fault, folder.path, more);
  expect(error).toMatchObject({ code });
  expect(requests.length).toBe(count);
  expect(left.filter((name) => name !== 'file.part')).toEqual([]);
});

test('an aborted download leaves its part', async () => {
  await using folder = await temporaryFolder();
  const controller = new AbortController();
  const { error, left } = await fetchFrom(hangUpAfter(100_000, 99), folder.path, {
    attempts: 99,
    signal: controller.signal,
    onBytes: () => controller.abort(),
  });
  expect(error).toMatchObject({ kind: 'cancelled' });
  expect(left).toEqual(['file.part']);
});

/** A release whose files are on a server, signed; the folder is empty. */
async function served(root: string, signed: readonly string[] | 'all' = 'all') {
  const release = await writeSyntheticRelease(join(root, 'release'));
  const home = join(root, 'gpg');
  await mkdir(home, { mode: 0o700 });
  const gpg = (...args: string[]) =>
    execa('gpg', ['--homedir', home, '--batch', '--pinentry-mode', 'loopback', ...args]);
  await gpg('--passphrase', '', '--quick-gen-key', 'release', 'ed25519', 'sign', 'never');
  await gpg('--output', join(root, 'keys.gpg'), '--export');
  const files = new Map<string, Buffer>();
  for (const name of await readdir(release.folder)) {
    const path = join(release.folder, name);
    files.set(`x86_64/${name}`, await readFile(path));
    if (name === 'stream.json' || (signed !== 'all' && !signed.includes(name))) continue;
    await gpg('--passphrase', '', '--output', `${path}.sig`, '--detach-sign', path);
    files.set(`x86_64/${name}.sig`, await readFile(`${path}.sig`));
  }
  await execa('gpgconf', ['--homedir', home, '--kill', 'all']);
  const server = await fileServer(files);
  await release.edit((artifacts) => {
    for (const { formats } of Object.values(artifacts)) {
      for (const format of Object.values(formats)) {
        for (const file of Object.values(format)) {
          file.location = file.location.replace('https://example.com', server.url);
          Object.assign(file, { signature: `${file.location}.sig` });
        }
      }
    }
  });
  const folder = join(root, 'fetched');
  const run = (...more: string[]) =>
    cli(
      [
        ...['dehydrate', '--stream', release.streamPath, '--artifacts', folder, '--download'],
        ...['-o', join(root, 'bundle'), '--cache-dir', join(root, 'cache'), ...more],
      ],
      { createEngine: () => release.engine },
    );
  return { release, server, files, folder, run, keys: join(root, 'keys.gpg') };
}

test('dehydrate --download: downloads the needed files, checks signatures, and makes the bundle', async () => {
  await using root = await temporaryFolder();
  const { server, folder, run, keys, release } = await served(root.path);
  await using _server = server;
  const { code, stderr } = await run('--keyring', keys, '--downloads', '3');
  expect(code, stderr).toBe(0);
  const got = server.requests.map((text) => text.replace('GET /x86_64/', ''));
  // Not the disk that the ISO unpacks to.
  expect(got.filter((name) => !name.endsWith('.sig')).sort()).toEqual([
    ...['x-gcp.tar.gz', 'x-live-kernel', 'x-live.iso', 'x-nutanix.qcow2', 'x-qemu.raw.gz'],
  ]);
  expect(got.filter((name) => name.endsWith('.sig'))).toHaveLength(5);
  expect(server.most()).toBeLessThanOrEqual(3);
  expect(await readFile(join(folder, 'x-live.iso'))).toEqual(
    await readFile(join(release.folder, 'x-live.iso')),
  );
  // A second run fetches nothing but signatures.
  server.requests.length = 0;
  expect((await run('--force')).code).toBe(0);
  expect(server.requests).toEqual([]);
});

test('dehydrate --download: wrong bytes and bad signatures make no bundle', async () => {
  await using root = await temporaryFolder();
  const { server, files, folder, run, keys } = await served(root.path);
  await using _server = server;
  const good = files.get('x86_64/x-qemu.raw.gz') ?? Buffer.alloc(0);
  files.set('x86_64/x-qemu.raw.gz', noise(good.length, 'evil'));
  expect(await run()).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('DOWNLOAD_DIGEST'),
  });
  expect(await readdir(folder)).not.toContain('x-qemu.raw.gz');
  files.set('x86_64/x-qemu.raw.gz', good);
  files.set('x86_64/x-qemu.raw.gz.sig', files.get('x86_64/x-live.iso.sig') ?? Buffer.alloc(0));
  const bad = await run('--keyring', keys);
  expect(bad).toMatchObject({ code: 4, stderr: expect.stringContaining('SIGNATURE_BAD') });
  expect(await readdir(folder)).not.toContain('x-qemu.raw.gz');
  expect(await readdir(root.path)).not.toContain('bundle');
  files.delete('x86_64/x-nutanix.qcow2');
  const absent = await run('--allow-missing', 'nutanix');
  expect(absent.stderr).not.toContain('DOWNLOAD');
  const alone = await cli([
    'dehydrate',
    '--stream',
    'x',
    '--artifacts',
    '.',
    '-o',
    'b',
    '--keyring',
    keys,
  ]);
  expect(alone.code).toBe(2);
});

test('dehydrate --download: the sizes of the metadata are a ceiling', async () => {
  await using root = await temporaryFolder();
  const { release, server, files, folder, run } = await served(root.path);
  await using _server = server;
  const good = files.get('x86_64/x-qemu.raw.gz') ?? Buffer.alloc(0);
  const resized = (size: number) =>
    release.edit(({ qemu }) => void Object.assign(qemu?.formats['raw.gz']?.disk ?? {}, { size }));
  // Its first bytes are right, and it never ends.
  files.set('x86_64/x-qemu.raw.gz', Buffer.concat([good, Buffer.alloc(5 << 20)]));
  await resized(good.length);
  const long = await run();
  expect(long).toMatchObject({ code: 3, stderr: expect.stringContaining('DOWNLOAD_SIZE') });
  expect((await readdir(folder)).filter((name) => /qemu/.test(name))).toEqual([]);
  files.set('x86_64/x-qemu.raw.gz', good);
  expect((await run()).code).toBe(0);
});
