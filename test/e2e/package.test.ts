import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';

test('the packed package installs into an empty folder and runs there', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'packed-'));
  try {
    const packed = await execa('npm', [
      ...['pack', '--ignore-scripts', '--json', '--pack-destination', folder],
    ]);
    const [archive] = packed.stdout.match(/iso-rehydrate-[\w.-]+\.tgz/) ?? [];
    expect(archive).toBeDefined();
    await writeFile(join(folder, 'package.json'), '{"private":true}');
    await execa('npm', ['install', '--no-audit', '--no-fund', `./${archive}`], { cwd: folder });
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
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
