import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  noise,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../../test/support/synthetic-bundle.ts';
import { openBundle } from '../../../bundle/read.ts';
import { openSource } from '../../../core/io/source.ts';
import { openFileGuide } from './container.ts';
import { openDiskGuide } from './disk.ts';
import { offsetsInBase } from './from-base.ts';

const MiB = 1 << 20;
const BOOT = 2 * MiB;
const ROOT = 40 * MiB;
const SIZE = 400 * MiB;
const env = { PATH: `${process.env.PATH}:/usr/sbin:/sbin` };

/** A disk with GPT, boot (ext4) and root (XFS), made by the usual tools. */
async function makeDisk(folder: string): Promise<{ disk: string; boot: string }> {
  const tree = join(folder, 'tree');
  await mkdir(join(tree, 'loader/entries'), { recursive: true });
  await writeFile(join(tree, 'loader/entries/ostree-1.conf'), 'options x\n'.repeat(3000));
  await writeFile(join(tree, 'bootmap'), noise(20_000, 'map'));
  await writeFile(join(tree, 'vmlinuz'), noise(3 * MiB, 'kernel'));
  const boot = join(folder, 'boot.img');
  const root = join(folder, 'root.img');
  const disk = join(folder, 'disk.raw');
  await execa('mke2fs', ['-q', '-t', 'ext4', '-d', tree, boot, '16m'], { env });
  await execa('mkfs.xfs', ['-q', '-d', `file,name=${root},size=340m`], { env });
  await execa('truncate', ['-s', String(SIZE), disk]);
  await execa(
    'sgdisk',
    [
      ...['-n', `3:${BOOT / 512}:+16M`, '-c', '3:boot', '-n', `4:${ROOT / 512}:+340M`],
      ...['-c', '4:root', disk],
    ],
    { env },
  );
  for (const [from, at] of [
    [boot, BOOT],
    [root, ROOT],
  ] as const) {
    await execa('dd', [
      ...[`if=${from}`, `of=${disk}`, 'bs=1M', 'conv=notrunc,sparse', `seek=${at / MiB}`],
      'status=none',
    ]);
  }
  return { disk, boot };
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let disk: string;
let boot: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  ({ disk, boot } = await makeDisk(folder.path));
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

/** Which file a block is of, as debugfs sees it. */
async function fileOfBlock(boot: string, block: number): Promise<string> {
  const ask = async (question: string) =>
    (await execa('debugfs', ['-R', question, boot], { env })).stdout.split('\n').at(-1) ?? '';
  const inode = (await ask(`icheck ${block}`)).split('\t')[1] ?? '';
  if (inode === '2') return '/'; // which ncheck does not name
  if (!/^\d+$/.test(inode)) return '';
  return ((await ask(`ncheck ${inode}`)).split('\t')[1] ?? '').replace(/^\/+/, '/');
}

test('the regions of a disk agree with mke2fs, mkfs.xfs, sgdisk and debugfs', async () => {
  await using source = await openSource(disk);
  const guide = await openDiskGuide(source);
  const at = (offset: number) => guide.describe(offset, SIZE);
  expect(at(0)).toBe('MBR');
  expect(at(512)).toBe('GPT: primary header');
  expect(at(1024)).toBe('GPT: primary partition entries');
  expect(at(SIZE - 1)).toBe('GPT: backup header');
  expect(at(SIZE - 513)).toBe('GPT: backup partition entries');
  expect(at(MiB)).toBe('outside all partitions');
  expect(at(BOOT + 1024 + 56)).toBe('boot ext4: superblock');
  expect(at(ROOT)).toBe('root XFS: superblock');
  expect(at(ROOT + 512)).toBe('root XFS: AGF (free space header)');
  // The grown disk of a platform has its backup table elsewhere.
  expect(guide.describe(2 * SIZE - 1, 2 * SIZE)).toBe('GPT: backup header');

  const { stdout } = await execa('dumpe2fs', ['-h', boot], { env });
  const blockSize = Number(/Block size: +(\d+)/.exec(stdout)?.[1]);
  const blocks = Number(/Block count: +(\d+)/.exec(stdout)?.[1]);
  const words = (block: number) => at(BOOT + block * blockSize + 7);
  const named = new Set<string>();
  for (let block = 0; block < blocks; block++) {
    const name = /^boot ext4: (?:zipl map, )?(?:file|folder) (\/.*)$/.exec(words(block))?.[1];
    if (name === undefined || named.has(name)) continue;
    named.add(name);
    expect(await fileOfBlock(boot, block), words(block)).toBe(name);
  }
  expect([...named].sort()).toEqual([
    ...['/', '/bootmap', '/loader', '/loader/entries', '/loader/entries/ostree-1.conf'],
    ...['/lost+found', '/vmlinuz'],
  ]);
  const kinds = new Set(
    Array.from({ length: blocks }, (_, block) => words(block).replace(/\d+/g, 'N')),
  );
  expect([...kinds].join('\n')).toContain('zipl map, file /bootmap');
  expect([...kinds].join('\n')).toContain('block bitmap of group N');
});

test('inside containers: the position of a byte of the disk is found', async () => {
  await using source = await openSource(disk);
  const guide = await openDiskGuide(source);
  const convert = async (name: string, ...options: string[]) => {
    const path = join(folder.path, name);
    await execa('qemu-img', ['convert', ...options, disk, path]);
    return path;
  };
  /** Where the boot file system's superblock lies in a qcow2, as qemu-img maps it. */
  const qcow2 = await convert('disk.qcow2', '-O', 'qcow2');
  const map = JSON.parse((await execa('qemu-img', ['map', '--output=json', qcow2])).stdout);
  const extent = map.find(
    (one: { start: number; length: number }) =>
      one.start <= BOOT && one.start + one.length > BOOT + 1080,
  );
  {
    await using file = await openSource(qcow2);
    const at = await openFileGuide(file, guide);
    expect(at(0)).toBe('qcow2 header');
    expect(at(extent.offset + BOOT - extent.start + 1080)).toBe(
      'qcow2 cluster 32 › boot ext4: superblock',
    );
    const header = Buffer.alloc(48);
    await file.read(header, 0);
    expect(at(Number(header.readBigUInt64BE(40)))).toBe('qcow2 L1 table');
  }
  const vmdk = await convert('disk.vmdk', '-O', 'vmdk', '-o', 'subformat=streamOptimized');
  {
    await using file = await openSource(vmdk);
    const at = await openFileGuide(file, guide);
    expect(at(0)).toBe('VMDK header');
    expect(at(512 + 10)).toBe('VMDK descriptor');
    const told = new Set<string>();
    for (let offset = 0; offset < file.size; offset += 512) told.add(at(offset));
    expect([...told]).toContain('VMDK grain 32 › boot ext4: boot sectors');
    expect([...told]).toContain('VMDK grain 0 › MBR');
    expect([...told]).toContain('VMDK grain directory');
  }
  const ova = join(folder.path, 'x.ova');
  await execa('tar', ['-cf', ova, '-C', folder.path, 'disk.vmdk']);
  {
    await using file = await openSource(ova);
    const at = await openFileGuide(file, guide);
    expect(at(0)).toBe('tar headers or padding');
    expect(at(512 + 512 + 10)).toBe('member disk.vmdk › VMDK descriptor');
  }
  const vhd = await convert('disk.vhd', '-O', 'vpc', '-o', 'subformat=fixed,force_size');
  {
    await using file = await openSource(vhd);
    const at = await openFileGuide(file, guide);
    expect(at(file.size - 1)).toBe('VHD footer');
    expect(at(BOOT + 1080)).toBe('boot ext4: superblock');
  }
});

test('malformed files are reported as such, and never end the audit', async () => {
  const path = join(folder.path, 'x');
  for (const magic of ['QFI\xfb\0\0\0\x03', 'KDMV', '', 'EFI PART']) {
    const bytes = noise(70_000, magic);
    bytes.write(magic, magic === 'EFI PART' ? 512 : 0, 'latin1');
    await writeFile(path, bytes);
    await using file = await openSource(path);
    const guide = await openDiskGuide(file);
    expect((await openFileGuide(file, guide))(60_000)).not.toBe('');
  }
  // ext4 with a superblock that leads anywhere.
  const damaged = join(folder.path, 'damaged.raw');
  await execa('cp', ['--sparse=always', disk, damaged]);
  await using handle = await open(damaged, 'r+');
  for (const field of [4, 24, 32, 40, 88, 254]) {
    await handle.write(noise(2, String(field)), 0, 2, BOOT + 1024 + field);
    await using file = await openSource(damaged);
    const guide = await openDiskGuide(file);
    expect(guide.describe(BOOT + 123_456, SIZE)).toMatch(/^boot/);
  }
});

test('a container that is not taken apart: its delta locates the disk in it', async () => {
  await using bundleFolder = await temporaryFolder();
  const { path, recipes, metal, targets } = await writeSyntheticBundle(bundleFolder.path);
  const bundle = await openBundle(path);
  const artifact = recipes.artifacts.find(({ platform }) => platform === 'qemu');
  if (artifact === undefined) throw new Error('there is a qemu');
  // The target is the disk but for four bytes at 70,000.
  const offsets = [0, 69_999, 70_001, 70_004, 400_000, 511_999];
  const found = await offsetsInBase(artifact, bundle, offsets, undefined);
  expect([...found]).toEqual(offsets.map((offset) => [offset, offset]));
  const qemu = targets.get('qemu') ?? metal;
  expect(qemu.subarray(70_004)).toEqual(metal.subarray(70_004));

  const file = join(folder.path, 'x.vhdx');
  await execa('qemu-img', ['convert', '-O', 'vhdx', disk, file]);
  await using source = await openSource(disk);
  const guide = await openDiskGuide(source);
  await using vhdx = await openSource(file);
  const at = await openFileGuide(vhdx, guide, {
    onDisk: (offset) => (offset === 9 * MiB ? BOOT + 1080 : undefined),
  });
  expect(at(0)).toBe('VHDX file identifier');
  expect(at(9 * MiB)).toBe('VHDX log, tables or data › boot ext4: superblock');
});
