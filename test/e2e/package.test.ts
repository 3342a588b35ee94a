import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { commandsOfPage } from '../support/pages.ts';

/** Packs the existing build: a plain `npm pack` would build again while other tests use it. */
const pack = (folder: string) =>
  execa('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]);

/** The page's command lines that begin with this text. */
const linesOf = (page: string, start: RegExp) => {
  const lines = commandsOfPage(page).filter((line) => start.test(line));
  expect(lines, page).not.toEqual([]);
  return lines;
};

test('npm pack and npm install --global, as in the README, install the command', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'global-'));
  try {
    const [packs = '', ...installs] = linesOf('README.md', /^npm (pack|install)/);
    expect(packs).toBe('npm pack');
    await pack(folder);
    const prefix = join(folder, 'prefix');
    const env = { npm_config_prefix: prefix, npm_config_audit: 'false', npm_config_fund: 'false' };
    for (const line of installs) await execa('bash', ['-ec', line], { cwd: folder, env });
    const path = `${prefix}/bin:${process.env.PATH}`;
    const { stdout } = await execa('iso-rehydrate', ['--version'], { env: { PATH: path } });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('from a checkout: the command is installed, whichever Node the system has', async () => {
  const prefix = await mkdtemp(join(tmpdir(), 'prefix-'));
  try {
    await execa('bash', ['scripts/setup.sh', '--command'], { env: { PREFIX: prefix } });
    const bare = { PATH: '/usr/bin:/bin' };
    const run = () => execa(join(prefix, 'bin/iso-rehydrate'), ['--version'], { env: bare });
    expect((await run()).stdout).toMatch(/^\d+\.\d+\.\d+/);
    // Another program's file stays.
    await writeFile(join(prefix, 'bin/iso-rehydrate'), '#!/bin/sh\necho theirs\n');
    await execa('bash', ['scripts/setup.sh', '--command'], { env: { PREFIX: prefix } });
    expect((await run()).stdout).toBe('theirs');
  } finally {
    await rm(prefix, { recursive: true, force: true });
  }
});

test('the reference of the library’s exports is made', async () => {
  for (const line of linesOf('docs/library.md', /^npm run api$/))
    await execa('bash', ['-ec', line]);
  const index = await readFile('.work/api/index.html', 'utf8');
  expect(index).toContain('iso-rehydrate');
  expect(await readFile('.work/api/functions/rehydrate.html', 'utf8')).toContain(
    'RehydrateOptions',
  );
});

test('the packed package installs into an empty folder and runs there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'packed-'));
  try {
    const packed = await pack(folder);
    const [archive] = packed.stdout.match(/iso-rehydrate-[\w.-]+\.tgz/) ?? [];
    expect(archive).toBeDefined();
    await writeFile(join(folder, 'package.json'), '{"private":true}');
    const [install = ''] = linesOf('docs/library.md', /^npm install /);
    expect(install).toContain(`./${archive}`);
    await execa('bash', ['-ec', `${install} --no-audit --no-fund`], { cwd: folder });
    const installed = join(folder, 'node_modules/iso-rehydrate');
    expect(await readFile(join(installed, 'docs/errors.md'), 'utf8')).toContain('# Errors');
    // The versions that were tested travel with it.
    const shrinkwrap = JSON.parse(await readFile(join(installed, 'npm-shrinkwrap.json'), 'utf8'));
    expect(shrinkwrap.packages['node_modules/valibot'].integrity).toMatch(/^sha512-/);
    expect(await readdir(join(installed, 'dist/schemas'))).toContain('audit-report.schema.json');
    const help = await execa('npx', ['iso-rehydrate', '--help'], { cwd: folder });
    expect(help.stdout).toContain('iso-rehydrate --arch s390x --platform ibmcloud');
    const version = await execa('npx', ['iso-rehydrate', '--version'], { cwd: folder });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+/);
    const usable = await execa(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        "console.log(Object.keys(await import('iso-rehydrate')).join())",
      ],
      { cwd: folder },
    );
    expect(usable.stdout.split(',')).toEqual(
      expect.arrayContaining(['dehydrate', 'rehydrate', 'failureOf', 'inspect', 'openBundle']),
    );
    const required = ['-p', "Object.keys(require('iso-rehydrate')).sort().join()"];
    const { stdout } = await execa(process.execPath, required, { cwd: folder });
    expect(stdout.split(',').filter((name) => name !== '__esModule')).toEqual(
      usable.stdout.split(',').sort(),
    );

    // What it takes on disk; without the optional addons, and with them.
    const bytes = async (path: string) =>
      Number(
        (await execa('du', ['-sb', join(folder, 'node_modules', path)])).stdout.split('\t')[0],
      );
    const addons = (await bytes('koffi')) + (await bytes('@koromix')) + (await bytes('@lydell'));
    expect((await bytes('.')) - addons).toBeLessThan(11 << 20);
    expect(await bytes('.')).toBeLessThan(15 << 20);

    // An old Node is told so, by whichever road it comes.
    const old = join(folder, 'old');
    const node = `node-linux-${process.arch}`;
    const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
    await execa('npm', ['install', ...quiet, '--prefix', old, `${node}@18`]);
    for (const script of ["import('iso-rehydrate')", "require('iso-rehydrate')"]) {
      const { stderr } = await execa(join(old, 'node_modules', node, 'bin/node'), ['-e', script], {
        cwd: folder,
        reject: false,
      });
      expect(stderr).toMatch(/iso-rehydrate needs Node\.js 22\.18 or newer; this is 18\./);
      expect(stderr).not.toContain('SyntaxError');
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
