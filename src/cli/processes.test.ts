import { chmod, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../test/support/synthetic-bundle.ts';
import { writeSyntheticRelease } from '../../test/support/synthetic-release.ts';

/** What only a process of its own shows: signals, and the limits of the system. */

const BIN = join(import.meta.dirname, 'bin.ts');
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (...names: string[]) => join(folder.path, ...names);
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

const start = (argv: readonly string[], env: Record<string, string> = {}) =>
  execa(process.execPath, [BIN, ...argv], {
    env: { ...env, NODE_NO_WARNINGS: '1' },
    reject: false,
    timeout: 120_000,
  });

/** Resolves to what `look` finds, once it finds something. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 600; i++) {
    const found = await look();
    if (found !== undefined) return found;
    await sleep(100);
  }
  throw new Error('it does not come');
}

test('serve: reports too many open files as such, and continues when there are fewer', async () => {
  const bundle = await writeSyntheticBundle(folder.path);
  const server = start([
    ...['serve', '-b', bundle.path, '--listen', '127.0.0.1:0', '--engine', 'native'],
    ...['--cache-dir', at('cache'), '--images', at('images'), '--reserve', '1MiB'],
  ]);
  using _end = { [Symbol.dispose]: () => server.kill('SIGKILL') };
  let stdout = '';
  server.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  const url = await until(async () => /http:\S+(?=\/stream)/.exec(stdout)?.[0]);
  const limit = (files: number) =>
    execa('prlimit', ['--pid', `${server.pid}`, `--nofile=${files}:`]);
  const get = () => fetch(`${url}/live-kernel`, { headers: { connection: 'close' } });
  await (await fetch(`${url}/stream.json`)).text(); // whatever is loaded late is loaded now
  // One more for the connection, none for the image.
  await limit((await readdir(`/proc/${server.pid}/fd`)).length + 1);
  const refused = await get();
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  await refused.text();
  await limit(1024);
  const given = await get();
  expect(given.status).toBe(200);
  const bytes = Buffer.from(await given.arrayBuffer());
  expect(sha256Of(bytes)).toBe(sha256Of(bundle.targets.get('pxe/kernel') ?? Buffer.alloc(0)));
  server.kill('SIGTERM');
  const { exitCode, stderr } = await server;
  expect(exitCode, stderr).toBe(143);
  expect(stderr).toMatch(/too many open files \[TOO_MANY_FILES\]/);
  expect(stderr).toMatch(/^fix: .*ulimit -n/m);
  expect(stderr).not.toContain('internal error');
});

test('a second signal ends it at once, whatever it is waiting for', async () => {
  const release = await writeSyntheticRelease(at('release'));
  await release.edit((artifacts) => {
    const disk = artifacts.metal?.formats['raw.xz']?.disk;
    if (disk) artifacts.aws = { release: '42.1', formats: { 'raw.xz': { disk: { ...disk } } } };
  });
  // A tool that hangs, and does not listen to SIGTERM.
  await mkdir(at('bin'));
  await writeFile(at('bin/xz'), `#!/bin/sh\ntrap '' TERM\n: > '${at('called')}'\nexec sleep 20\n`);
  await chmod(at('bin/xz'), 0o755);
  const argv = ['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder];
  const child = start([...argv, '-o', at('bundle2'), '--no-cache'], {
    PATH: `${at('bin')}:${process.env.PATH}`,
  });
  using _end = { [Symbol.dispose]: () => child.kill('SIGKILL') };
  let ended = false;
  child.then(() => {
    ended = true;
  });
  await until(() => stat(at('called')).catch(() => undefined));
  child.kill('SIGTERM');
  await sleep(1000);
  expect(ended).toBe(false);
  const asked = performance.now();
  child.kill('SIGTERM');
  const { exitCode, signal } = await child;
  expect({ exitCode, signal }).toMatchObject({ exitCode: 143, signal: undefined });
  expect(performance.now() - asked).toBeLessThan(5000);
  expect(await readdir(folder.path)).not.toContain('bundle2');
});

test('SIGHUP ends it with 129, and nothing stays, though its terminal is gone', async () => {
  const release = await writeSyntheticRelease(at('release-hup'));
  await release.edit((artifacts) => {
    const disk = artifacts.metal?.formats['raw.xz']?.disk;
    if (disk) artifacts.aws = { release: '42.1', formats: { 'raw.xz': { disk: { ...disk } } } };
  });
  const [bin, called, out] = [at('bin-hup'), at('called-hup'), at('out-hup')];
  await mkdir(bin);
  await mkdir(out);
  await writeFile(join(bin, 'xz'), `#!/bin/sh\n: > '${called}'\nexec sleep 20\n`);
  await chmod(join(bin, 'xz'), 0o755);
  const argv = ['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder];
  const child = start([...argv, '-o', join(out, 'bundle'), '--no-cache'], {
    ...{ PATH: `${bin}:${process.env.PATH}`, TMPDIR: out },
  });
  using _end = { [Symbol.dispose]: () => child.kill('SIGKILL') };
  await until(() => stat(called).catch(() => undefined));
  child.stderr?.destroy();
  child.kill('SIGHUP');
  const { exitCode, signal } = await child;
  expect({ exitCode, signal }).toMatchObject({ exitCode: 129, signal: undefined });
  expect(await readdir(out)).toEqual([]);
});
