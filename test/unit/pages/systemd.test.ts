import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { readExample } from '../../support/pages.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../support/synthetic-bundle.ts';

/** The units for `serve`, judged by systemd itself. */
const SERVICE = 'iso-rehydrate-serve.service';
const SOCKET = 'iso-rehydrate-serve.socket';
const COMMAND = '/usr/local/bin/iso-rehydrate';

test('the units are valid, and the service is confined: systemd gives it an exposure of at most 1 of 10', async () => {
  await using folder = await temporaryFolder();
  const service = readExample(SERVICE);
  expect(service).toContain(`ExecStart=${COMMAND} serve `);
  // verify looks whether the program is there, which depends on the machine.
  await writeFile(join(folder.path, SERVICE), service.replace(COMMAND, process.execPath));
  await writeFile(join(folder.path, SOCKET), readExample(SOCKET));
  const run = { cwd: folder.path, all: true } as const;
  const units = [`./${SERVICE}`, `./${SOCKET}`];
  const verified = await execa('systemd-analyze', ['--man=no', 'verify', ...units], run);
  expect(verified.all).toBe('');
  const security = ['security', '--offline=true', '--threshold=10', `./${SERVICE}`];
  const { all } = await execa('systemd-analyze', security, run);
  expect(all).toMatch(/Overall exposure level .*: 0\.\d SAFE/);
});

test('the command line of the service, started by the first connection to its socket', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const [, line = ''] = /^ExecStart=\S+ (.*)$/m.exec(readExample(SERVICE)) ?? [];
  const address = `127.0.0.1:${await freePort()}`;
  const environment = [`ISO_REHYDRATE_BUNDLE=${bundle.path}`, `XDG_CACHE_HOME=${folder.path}`];
  const manager = execa(
    'systemd-socket-activate',
    [
      ...['--listen', address, ...environment.map((one) => `--setenv=${one}`)],
      ...[process.execPath, resolve('src/cli/bin.ts'), ...line.split(' ')],
    ],
    { reject: false, all: true },
  );
  try {
    expect(await answer(`http://${address}/healthz`)).toBe('ok\n');
  } finally {
    manager.kill('SIGTERM');
    await manager;
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const at = server.address();
  server.close();
  await once(server, 'close');
  if (at === null || typeof at === 'string') throw new Error('no port');
  return at.port;
}

/** systemd-socket-activate takes a moment until it listens. */
async function answer(url: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      return await (await fetch(url)).text();
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(100);
    }
  }
}
