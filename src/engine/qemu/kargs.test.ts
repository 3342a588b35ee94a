import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nativeIso } from '../../../test/support/native-iso.ts';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { createNativeEngine } from '../native/index.ts';
import { createQemuEngine } from './index.ts';

test('an ISO that does not say its kernel arguments cannot be booted, but read', async () => {
  await using folder = await temporaryFolder();
  const { iso: whole, disks } = await nativeIso(folder.path);
  const iso = { ...whole, kargs: undefined };
  const [osmet] = iso.osmets;
  if (osmet === undefined) throw new Error('no osmet');
  const request = { iso, disks: [{ osmet, output: join(folder.path, 'metal.raw') }] };
  // Before anything that takes time, such as looking for a QEMU.
  const qemu = createQemuEngine({ accel: 'tcg', logDir: folder.path, qemu: '/nowhere/qemu' });
  await expect(qemu.regenerate(request)).rejects.toMatchObject({
    code: 'ISO_NO_KARGS',
    hint: expect.stringContaining('--engine native'),
  });
  await createNativeEngine().regenerate(request);
  const made = await readFile(join(folder.path, 'metal.raw'));
  expect(made.equals(disks.get(osmet.variant) ?? Buffer.alloc(0))).toBe(true);
});
