import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import {
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../test/support/synthetic-bundle.ts';
import { isBlockDevice, writeDevice } from './device.ts';

/** Real loop devices: the tests run as root. */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const devices: string[] = [];
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  for (const device of devices) await execa('losetup', ['--detach', device], { reject: false });
  await folder[Symbol.asyncDispose]();
});

async function loop(name: string, size: number, ...options: string[]): Promise<string> {
  await writeFile(at(name), Buffer.alloc(size, 0xaa));
  const { stdout } = await execa('losetup', ['--find', '--show', ...options, at(name)]);
  devices.push(stdout);
  return stdout;
}

const image = Buffer.concat([
  Buffer.alloc(300_000, 1),
  Buffer.alloc(2 << 20),
  Buffer.alloc(99_296, 2),
]);
const about = { size: image.length, sha256: sha256Of(image), sectorSize: 512 };
const writeImage = async (sink: Parameters<Parameters<typeof writeDevice>[2]>[0]) => {
  await sink.write(image.subarray(0, 300_000));
  await sink.zeros(2 << 20);
  await sink.write(image.subarray(-99_296));
};

test('an image overwrites the device, holes become zeros, and it is read back', async () => {
  const device = await loop('disk', 4 << 20);
  expect(await isBlockDevice(device)).toBe(true);
  await writeDevice(device, about, writeImage);
  const written = await readFile(at('disk'));
  expect(written.subarray(0, image.length).equals(image)).toBe(true);
  expect(written.subarray(image.length).every((byte) => byte === 0xaa)).toBe(true);
});

test('a device that is too small, in use, or has other sectors is refused and stays as it is', async () => {
  const small = await loop('small', 1 << 20);
  await expect(writeDevice(small, about, writeImage)).rejects.toThrow('too small');
  const other = await loop('other', 4 << 20, '--sector-size', '4096');
  await expect(writeDevice(other, about, writeImage)).rejects.toThrow('sectors have 4096 bytes');
  for (const name of ['small', 'other']) {
    expect((await readFile(at(name))).every((byte) => byte === 0xaa)).toBe(true);
  }
  const mounted = await loop('mounted', 8 << 20);
  await execa('mkfs.ext4', ['-q', mounted]);
  await execa('mkdir', [at('mnt')]);
  await execa('mount', [mounted, at('mnt')]);
  try {
    await expect(writeDevice(mounted, about, writeImage)).rejects.toThrow('in use');
  } finally {
    await execa('umount', [at('mnt')]);
  }
});

test('after a failure, and after wrong bytes, the start of the disk is erased', async () => {
  const device = await loop('failing', 4 << 20);
  const failing = writeDevice(device, about, async (sink) => {
    await sink.write(image.subarray(0, 300_000));
    throw new Error('no more');
  });
  await expect(failing).rejects.toThrow('no more');
  expect((await readFile(at('failing'))).subarray(0, 1 << 20).every((byte) => byte === 0)).toBe(
    true,
  );
  const wrong = { ...about, sha256: sha256Of(Buffer.from('another')) };
  await expect(writeDevice(device, wrong, writeImage)).rejects.toMatchObject({
    code: 'DEVICE_DIGEST',
  });
  expect((await readFile(at('failing'))).subarray(0, 1 << 20).every((byte) => byte === 0)).toBe(
    true,
  );
});

test('rehydrate refuses a device without --force-device, and images that are not raw', async () => {
  const device = await loop('asked', 4 << 20);
  const bundle = await writeSyntheticBundle(folder.path);
  const argv = ['-p', 'metal/pxe/kernel', '-b', bundle.path, '-o', device, '--no-cache'];
  const asked = await cli(argv);
  expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining('--force-device') });
  const forced = await cli([...argv, '--force-device']);
  expect(forced).toMatchObject({ code: 2, stderr: expect.stringContaining('not a raw disk') });
  expect((await readFile(at('asked'))).every((byte) => byte === 0xaa)).toBe(true);
});
