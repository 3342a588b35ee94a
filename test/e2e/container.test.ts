import { execa } from 'execa';
import { expect, test } from 'vitest';
import { auditedArch, pick } from './support/fixture.ts';
import { releaseBundle } from './support/release-bundle.ts';

test('the Containerfile: its image makes an image of another kind, and serves it', async () => {
  const { bundle } = await releaseBundle();
  const arch = auditedArch();
  const script = ['scripts/release/try-container.sh', bundle, arch, 'native'];
  // A container's files have more than one owner.
  const command = process.getuid?.() === 0 ? script : ['sudo', '--preserve-env', ...script];
  const [program = '', ...args] = command;
  const { stdout } = await execa(program, args);
  const sums = stdout.match(/^[0-9a-f]{64}(?= {2})/gm);
  // Made by one command in the container, and downloaded from a server in it.
  const { sha256 } = pick('qemu', 'qcow2.xz', 'disk', arch);
  expect(sums).toEqual([sha256, sha256]);
});
