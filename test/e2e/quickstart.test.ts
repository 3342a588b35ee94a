import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { commandsOfPage } from '../support/pages.ts';
import { pick } from './support/fixture.ts';

test('the quick start: the README’s command line, from set-up to two images that are right', async () => {
  const [line = ''] = commandsOfPage('README.md').filter((one) => /quickstart/.test(one));
  // Where the command goes, instead of the system's own folder.
  const prefix = await mkdtemp(join(tmpdir(), 'quickstart-'));
  try {
    const { stdout } = await execa('bash', ['-ec', line], { env: { PREFIX: prefix } });
    for (const [platform, format] of [
      ['qemu', 'qcow2.xz'],
      ['aws', 'vmdk.xz'],
    ] as const) {
      const { name, sha256 } = pick(platform, format);
      expect(stdout).toContain(`${name}\n  promised ${sha256}\n  actual   ${sha256}  same`);
    }
    const { stdout: help } = await execa(join(prefix, 'bin/iso-rehydrate'), ['--help'], {
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(help).toContain('Usage: iso-rehydrate');
  } finally {
    await rm(prefix, { recursive: true, force: true });
  }
});
