import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, delimiter, join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandsOfPage, elsewhere, PAGES, readPage } from '../support/pages.ts';
import { type RegistryServer, registryServer } from '../support/registry-server.ts';
import { cli } from './support/cli.ts';
import { fixtureArches, fixtureDir, promised } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { inspected, RESTING, releaseBundle } from './support/release-bundle.ts';

/**
 * Runs the pages' command lines, in the pages' order, on a part of the fixture: everything in `sh` blocks except
 * for the lines that test/support/pages.ts leaves to other tests. Each page has its own folder with `release/` and
 * its bundle. Two things are changed: the registry's name, and the engine if a line names none, because the default
 * one boots the ISO for minutes (main-job.test.ts and quickstart.test.ts do that).
 */
const PLATFORMS: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['metal', 'qemu', 'aws', 'openstack'],
  s390x: ['metal', 'ibmcloud'],
};
const ARCHES = fixtureArches().filter((arch) => arch in PLATFORMS);
const VERBS_WITH_ENGINE = 'rehydrate|dehydrate|audit|serve';

let folder: string;
let cache: string;
let registry: RegistryServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pages-'));
  // Links to the existing disks: see release-jobs.test.ts.
  const made = await releaseBundle();
  cache = await mkdtemp(`${made.cache}-pages-`);
  for (const part of ['metal', 'runs']) {
    await execa('cp', ['-al', join(made.cache, part), cache], { reject: false });
  }
  registry = await registryServer(join(folder, 'registry'));
  await writeRelease(join(folder, 'release'));
  const { exitCode, stderr } = await cli([
    ...['dehydrate', '--stream', join(folder, 'release/stream.json')],
    ...['--artifacts', join(folder, 'release'), '-o', join(folder, 'bundle'), '--quiet'],
    ...[...RESTING, '--cache-dir', cache],
  ]);
  expect(exitCode, stderr).toBe(0);
  await writeCommand(join(folder, 'bin'));
  // A page that pulls needs a bundle in the registry.
  const reference = localised('registry.example.com/coreos/bundle:stable');
  const pushed = await cli(['push', '-b', join(folder, 'bundle'), reference, '--quiet']);
  expect(pushed.exitCode, pushed.stderr).toBe(0);
});
afterAll(async () => {
  await registry?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
  await rm(cache, { recursive: true, force: true });
});

/** The fixture's release with a few platforms of two architectures in it. */
async function writeRelease(release: string): Promise<void> {
  await mkdir(release);
  const whole = JSON.parse(readPage(join(fixtureDir(), 'stream.json')));
  for (const [arch, { artifacts }] of Object.entries<{ artifacts: object }>(whole.architectures)) {
    if (!ARCHES.includes(arch)) {
      delete whole.architectures[arch];
      continue;
    }
    for (const name of Object.keys(artifacts)) {
      if (!PLATFORMS[arch]?.includes(name)) delete artifacts[name as keyof typeof artifacts];
    }
    for (const { platform, released } of promised(arch)) {
      if (!PLATFORMS[arch]?.includes(platform)) continue;
      await symlink(released, join(release, basename(released)));
    }
  }
  await writeFile(join(release, 'stream.json'), JSON.stringify(whole));
}

/** The built `iso-rehydrate`, with the native engine as its default. */
async function writeCommand(bin: string): Promise<void> {
  await mkdir(bin);
  const program = resolve('dist/src/cli/bin.js');
  const script = `#!/bin/sh
engine='--engine native'
case " $* " in *" --engine "* | *" --merge "* | *" --version "*) engine= ;; esac
case $1 in
  ${VERBS_WITH_ENGINE}) ;;
  --*) set -- rehydrate "$@" ;;
  *) engine= ;;
esac
[ "$1 $2" != "rehydrate --version" ] || shift
exec "${process.execPath}" "${program}" "$@" $engine
`;
  await writeFile(join(bin, 'iso-rehydrate'), script, { mode: 0o755 });
}

/** A folder like that of the page's reader. */
async function startPage(page: string): Promise<string> {
  const cwd = join(folder, page.replaceAll('/', '-'));
  await mkdir(cwd);
  await symlink(join(folder, 'release'), join(cwd, 'release'));
  await copyFile(join(folder, 'release/stream.json'), join(cwd, 'stream.json'));
  await copyFile('/usr/share/keyrings/debian-archive-keyring.gpg', join(cwd, 'keys.gpg'));
  // For rdiff, which needs the disk as a file.
  const { artifacts } = await inspected(join(folder, 'bundle'));
  const metal = artifacts.find(({ recipe }) => recipe.kind === 'base' && recipe.base === 'metal');
  await symlink(join(cache, 'metal', `${metal?.sha256}.raw`), join(cwd, 'metal.raw'));
  // A page that makes or pulls a bundle begins without one.
  if (!/ -o bundle$/m.test(readPage(page))) {
    await execa('cp', ['-al', join(folder, 'bundle'), join(cwd, 'bundle')]);
  }
  return cwd;
}

async function environment(cwd: string): Promise<Record<string, string>> {
  const xdg = join(cwd, '.cache');
  await mkdir(xdg, { recursive: true });
  await symlink(cache, join(xdg, 'iso-rehydrate')).catch(() => {});
  const { artifacts } = await inspected(join(folder, 'bundle'));
  const qemu = artifacts.find(({ platform }) => platform === 'qemu');
  return {
    PATH: [join(folder, 'bin'), join(process.execPath, '..'), process.env.PATH].join(delimiter),
    XDG_CACHE_HOME: xdg,
    HOME: cwd,
    DELTA: qemu?.recipe.delta?.sha256 ?? '',
  };
}

const localised = (line: string) =>
  line.replaceAll('registry.example.com', registry.host.replace('127.0.0.1', 'localhost'));

/** Whether the fixture has the architecture that a line names; one for x86_64 alone may not. */
const concerned = (line: string) =>
  ARCHES.includes('s390x') || !/--arch s390x|--arch all/.test(line);

const linesOf = (page: string) =>
  commandsOfPage(page).filter((line) => elsewhere(page, line) === undefined && concerned(line));

describe.each(PAGES.filter((page) => linesOf(page).length > 0))('%s', (page) => {
  test('each command line works', async () => {
    const lines = linesOf(page);
    const cwd = await startPage(page);
    const env = await environment(cwd);
    for (const line of lines) {
      const script = localised(line);
      const run = execa('bash', ['-eo', 'pipefail', '-c', script], {
        ...{ cwd, env, extendEnv: false, all: true, reject: false },
      });
      // A server runs until it is stopped.
      const serving = /^iso-rehydrate serve /.test(line);
      if (serving) {
        await new Promise((ready) => run.stdout.once('data', ready));
        run.kill('SIGINT');
      }
      const { exitCode, all } = await run;
      expect(exitCode, `${line}\n${all}`).toBe(serving ? 130 : 0);
      if (!line.includes('rdiff patch')) continue;
      const { artifacts } = await inspected(join(folder, 'bundle'));
      const qemu = artifacts.find(({ platform }) => platform === 'qemu');
      expect(await sha256sum(join(cwd, 'target'))).toBe(qemu?.recipe.payload?.sha256);
    }
  });
});
