import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Sha256 } from '../../core/io/digest.ts';
import type { LiveIso } from '../../formats/iso/live-iso.ts';
import type { MetalDisk } from '../engine.ts';
import { createOutputs } from '../outputs.ts';
import { createWorkdir } from './workdir.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'engine-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

function disk(name: string, diskSize = 1 << 30): MetalDisk {
  const osmet: MetalDisk['osmet'] = {
    ...{ name: 'x.osmet', variant: 'metal', sectorSize: 512, description: '', arch: 'x86_64' },
    ...{
      appVersion: '',
      checksum: '' as Sha256,
      diskSize,
      mappedBytes: 0,
      partitions: 0,
      mappings: 0,
    },
    ...{ offset: 0, length: 0 },
  };
  return { osmet, output: join(folder, name) };
}

test('outputs are sparse, and go away unless they are kept', async () => {
  {
    await using outputs = await createOutputs([disk('a'), disk('b')]);
    await writeFile(join(folder, 'a'), 'data', { flag: 'r+' });
    expect(await stat(join(folder, 'a'))).toMatchObject({ size: 1 << 30, blocks: 8 });
    await outputs.reset();
    expect(await stat(join(folder, 'a'))).toMatchObject({ size: 1 << 30, blocks: 0 });
  }
  expect(await readdir(folder)).toEqual([]);
  {
    await using outputs = await createOutputs([disk('a')]);
    await outputs.sync();
    outputs.keep();
  }
  expect(await readdir(folder)).toEqual(['a']);
});

test('existing files are neither written nor removed', async () => {
  await writeFile(join(folder, 'b'), 'precious');
  await expect(createOutputs([disk('a'), disk('b')])).rejects.toMatchObject({ code: 'EXISTS' });
  expect(await readdir(folder)).toEqual(['b']);
  expect(await readFile(join(folder, 'b'), 'utf8')).toBe('precious');
});

test('a disk larger than the file system allows is an error, not a leftover', async () => {
  const huge = disk('a', Number.MAX_SAFE_INTEGER - 511);
  await expect(createOutputs([huge])).rejects.toMatchObject({ kind: 'io' });
  expect(await readdir(folder)).toEqual([]);
});

async function iso(kernelLength: number, size: number): Promise<LiveIso> {
  const path = join(folder, 'live.iso');
  await writeFile(path, 'xxKERNELyyINITRDzz');
  return {
    ...{ path, size, volumeId: 'v', arch: 'x86_64', kargs: '' },
    rootImage: { path: 'root.squashfs', offset: 0, length: 1 },
    kernel: { path: 'images/pxeboot/vmlinuz', offset: 2, length: kernelLength },
    initrd: { path: 'images/pxeboot/initrd.img', offset: 10, length: 6 },
    rootfs: { path: 'images/pxeboot/rootfs.img', offset: 0, length: 1 },
    osmets: [],
  };
}

test('kernel and initrd are cut out of the ISO', async () => {
  const workdir = await createWorkdir(await iso(6, 18));
  expect(await readFile(workdir.kernel, 'latin1')).toBe('KERNEL');
  expect(await readFile(workdir.initrd, 'latin1')).toBe('INITRD');
  await workdir[Symbol.asyncDispose]();
  await expect(stat(workdir.path)).rejects.toThrow('ENOENT');
});

test.each([
  ['beyond the size it has', 100, 18],
  ['beyond the size it claims', 100, 1000],
  ['nothing', 0, 18],
])('an extent of %s is refused', async (_, length, size) => {
  const before = (await readdir(tmpdir())).filter((name) =>
    name.startsWith('iso-rehydrate-'),
  ).length;
  await expect(createWorkdir(await iso(length, size))).rejects.toMatchObject({ code: 'ISO_SHORT' });
  const after = (await readdir(tmpdir())).filter((name) =>
    name.startsWith('iso-rehydrate-'),
  ).length;
  expect(after).toBe(before);
});

test('an abort while extracting is a cancellation', async () => {
  const aborted = createWorkdir(await iso(6, 18), AbortSignal.abort());
  await expect(aborted).rejects.toMatchObject({ kind: 'cancelled' });
});
