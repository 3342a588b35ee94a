import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { registryServer } from '../../test/support/registry-server.ts';
import {
  type SyntheticBundle,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../test/support/synthetic-bundle.ts';
import { tokenServer } from '../../test/support/token-server.ts';
import { findCredentials } from './credentials.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: SyntheticBundle;
let PATH: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = await writeSyntheticBundle(folder.path);
  const bin = join(folder.path, 'bin');
  PATH = [bin, process.env.PATH].join(delimiter);
  await mkdir(bin);
  // Like docker's own helpers: the registry on stdin, JSON on stdout, and one message for a missing login.
  await helper('shell', 'read -r host; echo "$host" >>"$HOME/asked"; cat "$HOME/login.json"');
  await helper('none', 'echo "credentials not found in native keychain"; exit 1');
  await helper('broken', 'echo "the keychain is locked" >&2; exit 3');
  await helper('chatty', 'echo "password: secret"');
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

const helper = (name: string, script: string) =>
  writeFile(
    join(folder.path, 'bin', `docker-credential-${name}`),
    `#!/bin/sh\n[ "$1" = get ] || exit 9\n${script}\n`,
    { mode: 0o755 },
  );

const base64 = (text: string) => Buffer.from(text).toString('base64');
const BASIC = base64('me:secret');

let homes = 0;
/** A home folder with this docker configuration, and the helper that `shell` implements. */
async function home(config: unknown, answer: unknown = { Username: 'me', Secret: 'secret' }) {
  const HOME = join(folder.path, `home-${homes++}`);
  await mkdir(join(HOME, '.docker'), { recursive: true });
  await writeFile(join(HOME, '.docker/config.json'), JSON.stringify(config));
  await writeFile(join(HOME, 'login.json'), JSON.stringify(answer));
  return { HOME, PATH };
}

const push = (host: string, more: string[] = [], env: Record<string, string> = {}) =>
  cli(['push', '-b', bundle.path, `${host}/coreos/bundle:1`, ...more], { env });

test('a registry with a password: from a file, or a helper', async () => {
  const login = { user: 'me', password: 'secret' };
  await using closed = await registryServer(join(folder.path, 'closed'), login);
  const { host } = closed;
  const refused = { code: 7, stderr: expect.stringContaining('requires a login') };
  expect(await push(host)).toMatchObject(refused);

  const authfile = join(folder.path, 'auth.json');
  await writeFile(authfile, JSON.stringify({ auths: { [host]: { auth: BASIC } } }));
  expect(await push(host, ['--authfile', authfile])).toMatchObject({ code: 0 });
  const pulled = await cli(['pull', `${host}/coreos/bundle:1`, '-o', join(folder.path, 'pulled')], {
    env: { REGISTRY_AUTH_FILE: authfile },
  });
  expect(pulled.code, pulled.stderr).toBe(0);
  await writeFile(authfile, JSON.stringify({ auths: { [host]: { auth: base64('me:wrong') } } }));
  expect(await push(host, ['--authfile', authfile])).toMatchObject(refused);

  for (const config of [{ credHelpers: { [host]: 'shell' } }, { credsStore: 'shell' }]) {
    const made = await push(host, [], await home(config));
    expect(made.code, made.stderr).toBe(0);
  }
  const wrong = { Username: 'me', Secret: 'wrong' };
  expect(await push(host, [], await home({ credsStore: 'shell' }, wrong))).toMatchObject(refused);
});

test('a registry with a token server: by password, or by an identity token of a helper', async () => {
  const login = { basic: BASIC, identityToken: 'from an earlier login' };
  await using tokens = await tokenServer(folder.path, login);
  await using closed = await registryServer(join(folder.path, 'tokens'), tokens);
  const { host } = closed;
  expect((await push(host)).code).toBe(7);
  expect(tokens.seen).toEqual(['GET nobody']);
  tokens.seen.length = 0;
  const made = await push(host, [], await home({ auths: { [host]: { auth: BASIC } } }));
  expect(made.code, made.stderr).toBe(0);
  // One for looking, one for writing.
  expect(tokens.seen).toEqual([`GET Basic ${BASIC}`, `GET Basic ${BASIC}`]);
  tokens.seen.length = 0;
  const answer = { Username: '<token>', Secret: login.identityToken };
  const env = await home({ credHelpers: { [host]: 'shell' } }, answer);
  const pulled = await cli(['pull', `${host}/coreos/bundle:1`, '-o', join(folder.path, 'token')], {
    env,
  });
  expect(pulled.code, pulled.stderr).toBe(0);
  expect(tokens.seen).toEqual([`POST refresh_token=${login.identityToken}`]);
});

test('which login is taken', async () => {
  const find = async (config: unknown, reference = { host: 'r.io', name: 'a/b' }) =>
    findCredentials(reference, await home(config));
  expect(await find({})).toBeUndefined();
  const other = base64('other:x');
  const basic = (auth: string) => ({ auth });
  // The registry's own helper comes before the one for all, and both come before the file.
  const auths = { 'r.io': basic(other) };
  expect(await find({ auths, credHelpers: { 'r.io': 'shell' }, credsStore: 'broken' })).toEqual({
    basic: BASIC,
  });
  expect(await find({ auths, credHelpers: { 's.io': 'broken' } })).toEqual({ basic: other });
  expect(await find({ auths, credsStore: 'none' })).toEqual({ basic: other });
  // Docker leaves an empty entry if a helper has the login.
  expect(await find({ auths: { 'r.io': {} }, credsStore: 'none' })).toBeUndefined();
  // The most specific entry wins; docker writes some as URLs.
  expect(await find({ auths: { 'r.io/a': basic(BASIC), ...auths } })).toEqual({ basic: BASIC });
  expect(await find({ auths: { 'r.io/a/bc': basic(BASIC), ...auths } })).toEqual({ basic: other });
  expect(await find({ auths: { 'https://r.io/v2/': basic(BASIC) } })).toEqual({ basic: BASIC });
  expect(await find({ auths: { 'r.io': { identitytoken: 'i' } } })).toEqual({ identityToken: 'i' });
  // podman's file comes before docker's.
  const env = await home({ auths });
  await mkdir(join(env.HOME, '.config/containers'), { recursive: true });
  const file = join(env.HOME, '.config/containers/auth.json');
  await writeFile(file, JSON.stringify({ auths: { 'r.io': basic(BASIC) } }));
  expect(await findCredentials({ host: 'r.io', name: 'a' }, env)).toEqual({ basic: BASIC });
});

test('the error for a malformed login does not show the login', async () => {
  const failing = async (config: unknown) => {
    const { code, stderr } = await push('127.0.0.1:1', [], await home(config));
    return { code, stderr };
  };
  expect(await failing({ credsStore: 'broken' })).toMatchObject({
    code: 7,
    stderr: expect.stringMatching(/docker-credential-broken.*the keychain is locked/),
  });
  expect(await failing({ credsStore: 'absent' })).toMatchObject({
    code: 8,
    stderr: expect.stringContaining('docker-credential-absent is missing'),
  });
  const chatty = await failing({ credsStore: 'chatty' });
  expect(chatty).toMatchObject({ code: 3, stderr: expect.stringContaining('not valid JSON') });
  expect(chatty.stderr).not.toContain('secret');
  expect(await failing({ credsStore: '../../bin/sh' })).toMatchObject({ code: 3 });
  expect(await failing({ auths: { '127.0.0.1:1': { auth: 'me:secret' } } })).toMatchObject({
    code: 3,
    stderr: expect.stringContaining('malformed'),
  });
  const named = findCredentials({ host: 'r.io', name: 'a' }, {}, { authFile: '/nonexistent' });
  await expect(named).rejects.toMatchObject({ kind: 'io' });
});
