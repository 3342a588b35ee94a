import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBundle } from '../../../src/bundle/read.ts';
import { blocksOf, readPage, sectionOf } from '../../support/pages.ts';
import { type RegistryServer, registryServer } from '../../support/registry-server.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../support/synthetic-bundle.ts';

/**
 * The pages' own commands, in the pages' order, with notation, oras and two registries: a publisher signs, and an
 * admin, who has only the publisher's certificate, verifies and pulls.
 */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let registry: RegistryServer;
let mirror: RegistryServer;
let digest: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path, { arches: ['x86_64', 's390x'] });
  ({ digest } = await openBundle(path));
  registry = await registryServer(join(folder.path, 'registry'));
  mirror = await registryServer(join(folder.path, 'mirror'));
  await mkdir(join(folder.path, 'bin'));
  const program = `#!/bin/sh\nexec "${process.execPath}" "${resolve('src/cli/bin.ts')}" "$@"\n`;
  await writeFile(join(folder.path, 'bin/iso-rehydrate'), program, { mode: 0o755 });
}, 300_000);
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await mirror[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** The code blocks below a heading of a page, with the registries' names replaced by those of this host. */
function blocks(page: string, heading: string): string[] {
  // notation and oras also speak plain HTTP to a registry with that name.
  const local = sectionOf(readPage(page), heading)
    .replaceAll('registry.example.com', registry.host.replace('127.0.0.1', 'localhost'))
    .replaceAll('mirror.example.com', mirror.host.replace('127.0.0.1', 'localhost'));
  return blocksOf(local, 'sh');
}

/** Runs a script in the shared folder, as a person with separate notation settings. */
async function as(who: 'publisher' | 'admin', script = 'exit 1') {
  const path = [join(folder.path, 'bin'), process.env.PATH].join(delimiter);
  const env = { PATH: path, XDG_CONFIG_HOME: join(folder.path, who), HOME: folder.path };
  return execa('bash', ['-euo', 'pipefail', '-c', script], {
    ...{ cwd: folder.path, env, extendEnv: false, all: true, reject: false },
  });
}

test('sign, verify and pull; nothing unsigned is pulled', async () => {
  const [sign] = blocks('docs/release-job.md', 'Sign');
  const signed = await as('publisher', sign);
  expect(signed.exitCode, signed.all).toBe(0);
  expect(signed.stdout).toContain(`Successfully signed ${localhost(registry)}@sha256:${digest}`);

  const certificate = 'notation/localkeys/coreos.example.com.crt';
  await copyFile(
    join(folder.path, 'publisher', certificate),
    join(folder.path, 'coreos.example.com.crt'),
  );
  const [trust, pull] = blocks('docs/mirror-admin.md', 'Verify');
  const trusted = await as('admin', trust);
  expect(trusted.exitCode, trusted.all).toBe(0);
  const pulled = await as('admin', pull?.replace('-o bundle', '-o pulled'));
  expect(pulled.exitCode, pulled.all).toBe(0);
  expect(pulled.stdout).toBe(`${localhost(registry)}@sha256:${digest}`);
  expect((await openBundle(join(folder.path, 'pulled'))).digest).toBe(digest);

  // The tag moves to an unsigned bundle: of one architecture, or damaged and pushed again.
  const tag = `${localhost(registry)}:stable`;
  const moved = await as('publisher', `iso-rehydrate push -b bundle --arch s390x ${tag}`);
  expect(moved.exitCode, moved.all).toBe(0);
  const refused = await as('admin', pull?.replace('-o bundle', '-o refused'));
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stderr).toContain('no signature is associated');
  await expect(openBundle(join(folder.path, 'refused'))).rejects.toMatchObject({
    code: 'NOT_FOUND',
  });

  // Signed, but by someone else.
  const other = 'notation certificate generate-test --default other.example.com';
  const foreign = await as('publisher', `${other}; notation sign ${tag}`);
  expect(foreign.exitCode, foreign.all).toBe(0);
  const distrusted = await as('admin', pull?.replace('-o bundle', '-o refused'));
  expect(distrusted.exitCode).not.toBe(0);
  expect(distrusted.stderr).toContain('verification failed');
  const back = await as('publisher', `iso-rehydrate push -q -b bundle ${tag}`);
  expect(back.exitCode, back.all).toBe(0);
});

test('oras carries bundle and signature: to a mirror, and through a folder, which is a bundle', async () => {
  const [carry = ''] = blocks('docs/mirror-admin.md', 'Carry a whole bundle');
  const [direct, out, back, ...rest] = carry.trim().split('\n');
  expect(rest).toEqual([]);
  const [, pull] = blocks('docs/mirror-admin.md', 'Verify');
  for (const [name, script] of Object.entries({ direct, carried: `${out}\n${back}` })) {
    // An empty mirror.
    await rm(join(folder.path, 'mirror/data/docker'), { recursive: true, force: true });
    const copied = await as('admin', script);
    expect(copied.exitCode, copied.all).toBe(0);
    const atMirror = pull?.replace(localhost(registry), localhost(mirror));
    const pulled = await as('admin', atMirror?.replace('-o bundle', `-o from-${name}`));
    expect(pulled.exitCode, pulled.all).toBe(0);
    expect(pulled.stdout).toBe(`${localhost(mirror)}@sha256:${digest}`);
  }
  const carried = await openBundle(join(folder.path, 'carried'));
  expect(carried.digest).toBe(digest);
  expect(carried.recipes).toEqual((await openBundle(join(folder.path, 'bundle'))).recipes);
});

const localhost = ({ host }: RegistryServer) =>
  `${host.replace('127.0.0.1', 'localhost')}/coreos/bundle`;
