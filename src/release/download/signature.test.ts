import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { cli } from '../../../test/support/cli.ts';
import { type FileServer, fileServer } from '../../../test/support/file-server.ts';
import { sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { readKeyring } from './keyring.ts';

const ISO = golden('iso/live.iso');

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let server: FileServer;
let gpg: (...args: string[]) => Promise<string>;
const fingerprints = new Map<string, string>();
const files = new Map<string, Buffer>([['live.iso', ISO]]);
const path = (name: string) => join(folder.path, name);
const armored = (name: string) => readFile(path(name), 'utf8');

/** Keys called good, expired, revoked and stranger; a signature by each, and odd ones. */
beforeAll(async () => {
  folder = await temporaryFolder();
  const home = path('home');
  await mkdir(home, { mode: 0o700 });
  gpg = async (...args) => {
    const fixed = ['--homedir', home, '--batch', '--quiet', '--pinentry-mode', 'loopback'];
    return (await execa('gpg', [...fixed, '--passphrase', '', ...args])).stdout;
  };
  await writeFile(path('live.iso'), ISO);
  await writeFile(path('other'), 'other');
  const past = ['--faked-system-time', '20200101T000000'];
  for (const name of ['good', 'expired', 'revoked', 'stranger']) {
    const when = name === 'expired' ? past : [];
    await gpg(...when, '--quick-gen-key', name, 'ed25519', 'sign', when[0] ? '2y' : 'never');
    const listed = await gpg('--list-keys', '--with-colons', name);
    fingerprints.set(name, /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? '');
  }
  const sign = async (name: string, ...args: string[]) => {
    await gpg('--output', path(`${name}.sig`), ...args);
    files.set(`${name}.sig`, await readFile(path(`${name}.sig`)));
  };
  const detach = ['--detach-sign', path('live.iso')];
  for (const name of ['good', 'revoked', 'stranger']) await sign(name, '-u', name, ...detach);
  await sign('armored', '-u', 'good', '--armor', ...detach);
  await sign('expired', ...past, '-u', 'expired', ...detach);
  const early = ['--faked-system-time', '20200601T000000!', '--default-sig-expire', '2d'];
  await sign('late', ...early, '--ignore-time-conflict', '-u', 'expired', ...detach);
  await sign('other', '-u', 'good', '--detach-sign', path('other'));
  const revocation = join(home, 'openpgp-revocs.d', `${fingerprints.get('revoked')}.rev`);
  const certificate = (await readFile(revocation, 'utf8')).replace(':-----', '-----');
  await writeFile(path('revocation'), certificate);
  await gpg('--import', path('revocation'));
  const own = ['good', 'expired', 'revoked'];
  await gpg('--output', path('keys.gpg'), '--export', ...own);
  await gpg('--output', path('keys.asc'), '--armor', '--export', ...own);
  await gpg('--output', path('good.asc'), '--armor', '--comment', 'one of us', '--export', 'good');
  await gpg('--output', path('stranger.asc'), '--armor', '--export', 'stranger');
  const other = ['--trust-model', 'always', '--no-default-keyring', '--keyring', path('keys.kbx')];
  await gpg(...other, '--import', path('keys.gpg'));
  const text = 'Our keys:\r\n\r\n';
  const both = [text, await armored('stranger.asc'), '\n', await armored('good.asc')].join('');
  await writeFile(path('several.asc'), both.replaceAll('\n', '\r\n'));
  await gpg('--output', path('secret.asc'), '--armor', '--export-secret-keys', 'good');
  await execa('gpgconf', ['--homedir', home, '--kill', 'all']);
  const of = (name: string) => files.get(`${name}.sig`) ?? Buffer.alloc(0);
  files.set('good-stranger.sig', Buffer.concat([of('stranger'), of('good')]));
  files.set('good-revoked.sig', Buffer.concat([of('revoked'), of('good')]));
  files.set('good-other.sig', Buffer.concat([of('good'), of('other')]));
  files.set('none.sig', Buffer.from('<html>404</html>'));
  files.set('empty.sig', Buffer.alloc(0));
  server = await fileServer(files);
}, 300_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let runs = 0;
/** Downloads and checks the ISO; what comes after that is not of interest here. */
async function check(signature: string, keyring: string, more: string[] = [], env = {}) {
  const at = path(`run-${runs++}`);
  await mkdir(at);
  const iso = {
    location: `${server.url}/live.iso`,
    signature: `${server.url}/${signature}.sig`,
    sha256: sha256Of(ISO),
  };
  const metal = { release: '1', formats: { iso: { disk: iso } } };
  const stream = { stream: 's', architectures: { x86_64: { artifacts: { metal } } } };
  await writeFile(join(at, 'stream.json'), JSON.stringify(stream));
  const argv = ['dehydrate', '--stream', join(at, 'stream.json'), '--artifacts', join(at, 'dl')];
  const { code, stderr } = await cli(
    [...argv, '--download', '--keyring', keyring, '-o', join(at, 'b'), '--no-cache', ...more],
    { env },
  );
  // Good signatures are kept for the bundle.
  const left = (await readdir(join(at, 'dl')).catch(() => [])).filter((name) => !/sig$/.test(name));
  return { code, stderr, left, said: /\[([A-Z_]+)\]/.exec(stderr)?.[1] };
}

/** A good signature leads to the next thing, which is that the ISO promises another disk. */
const passed = { said: undefined, left: ['live.iso'] };

describe('keyrings', () => {
  test.each(['keys.gpg', 'keys.kbx', 'keys.asc', 'good.asc', 'several.asc'])('%s', async (name) => {
    const { code, left, stderr } = await check('good', path(name));
    expect(left, stderr).toEqual(['live.iso']);
    expect(stderr).not.toMatch(/SIGNATURE|KEYRING/);
    expect(code).not.toBe(3);
  });

  test('a file that is not a keyring is reported before any download', async () => {
    await writeFile(path('text'), 'no keys');
    await writeFile(path('empty'), '');
    const text = await armored('good.asc');
    await writeFile(path('cut.asc'), text.slice(0, -60));
    await writeFile(path('flipped.asc'), text.replace(/^(\w{8})(\w)/m, '$1/'));
    await writeFile(path('damaged.asc'), text.replace(/[A-Z](?=[a-z]{2})/g, 'Q'));
    for (const name of ['text', 'empty', 'cut.asc', 'damaged.asc', 'secret.asc', 'good.sig']) {
      server.requests.length = 0;
      const { code, said, left } = await check('good', path(name));
      expect({ code, said }, name).toEqual({ code: 3, said: 'KEYRING' });
      expect(left).toEqual([]);
      expect(server.requests).toEqual([]);
    }
    expect(await check('good', path('absent'))).toMatchObject({ code: 7, left: [] });
    expect(await check('good', '/dev/zero')).toMatchObject({ code: 3, left: [] });
  });

  test('armor decodes to the binary export', async () => {
    expect(await readKeyring(path('keys.asc'))).toEqual(await readFile(path('keys.gpg')));
  });
});

describe('signatures', () => {
  test.each(['good', 'armored', 'good-stranger', 'good-revoked'])('%s is good', async (name) => {
    const { left, stderr } = await check(name, path('keys.gpg'));
    expect(stderr).not.toMatch(/SIGNATURE/);
    expect(left).toEqual(passed.left);
  });

  // Only a signature of something else says that the file is wrong.
  test.each([
    ['other', 'SIGNATURE_BAD', 4, 'live.iso.bad-signature'],
    ['good-other', 'SIGNATURE_BAD', 4, 'live.iso.bad-signature'],
    ['expired', 'SIGNATURE_EXPIRED', 4, 'live.iso'],
    ['late', 'SIGNATURE_EXPIRED', 4, 'live.iso'],
    ['revoked', 'SIGNATURE_REVOKED', 4, 'live.iso'],
    ['stranger', 'SIGNATURE_KEY', 4, 'live.iso'],
    ['none', 'SIGNATURE_FORMAT', 3, 'live.iso'],
    ['empty', 'SIGNATURE_FORMAT', 3, 'live.iso'],
  ])('%s is %s', async (name, said, code, left) => {
    const found = await check(name, path('keys.gpg'));
    expect(found, found.stderr).toMatchObject({ said, code, left: [left] });
  });

  test('a key may be accepted by name', async () => {
    for (const name of ['expired', 'revoked']) {
      const key = fingerprints.get(name) ?? '';
      const other = fingerprints.get('good') ?? '';
      const spaced = `0x${key.toLowerCase()}`;
      for (const text of [key, spaced, key.slice(-16)]) {
        const { stderr, left } = await check(name, path('keys.gpg'), ['--accept-key', text]);
        expect(stderr).not.toMatch(/SIGNATURE/);
        expect(left).toEqual(['live.iso']);
      }
      const wrong = await check(name, path('keys.gpg'), ['--accept-key', other]);
      expect(wrong).toMatchObject({ code: 4, left: ['live.iso'] });
    }
    const key = fingerprints.get('good') ?? '';
    const bad = await check('other', path('keys.gpg'), ['--accept-key', key]);
    expect(bad).toMatchObject({ said: 'SIGNATURE_BAD' });
    expect(await check('good', path('keys.gpg'), ['--accept-key', 'x'])).toMatchObject({ code: 2 });
  });
});

test('a missing or failing gpgv says nothing about the file', async () => {
  const bin = path('bin');
  await mkdir(bin);
  const { PATH } = process.env;
  try {
    process.env.PATH = bin;
    expect(await check('good', path('keys.gpg'))).toMatchObject({
      // Noticed before anything is downloaded.
      ...{ said: 'TOOL_MISSING', code: 8, left: [] },
    });
    await writeFile(join(bin, 'gpgv'), '#!/bin/sh\necho cannot >&2\nexit 2\n');
    await chmod(join(bin, 'gpgv'), 0o755);
    expect(await check('good', path('keys.gpg'))).toMatchObject({
      ...{ said: 'TOOL_FAILED', code: 8, left: ['live.iso'] },
    });
    await writeFile(join(bin, 'gpgv'), '#!/bin/sh\necho "[GNUPG:] GOODSIG 1 x"\nexit 2\n');
    expect((await check('good', path('keys.gpg'))).left).toEqual(['live.iso']);
  } finally {
    process.env.PATH = PATH;
    await rm(bin, { recursive: true });
  }
});
