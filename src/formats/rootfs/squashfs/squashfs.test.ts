import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../../test/golden/load.ts';
import { survive } from '../../../../test/golden/mutate.ts';
import {
  expectParts,
  listedFiles,
  openImage,
  readEnds,
  readRootFile,
  unpackChanged,
} from '../../../../test/support/root-files.ts';
import { sha256Of } from '../../../../test/support/synthetic-bundle.ts';

test('the module is the one of SHA256SUMS', () => {
  const folder = new URL('wasm/', import.meta.url);
  const sum = createHash('sha256').update(readFileSync(new URL('squashfs.wasm', folder)));
  const list = readFileSync(new URL('SHA256SUMS', folder), 'utf8');
  expect(list).toBe(`${sum.digest('hex')}  squashfs.wasm\n`);
  expect(readdirSync(folder).sort()).toEqual(['LICENSE', 'SHA256SUMS', 'squashfs.wasm']);
});

const files = listedFiles();

describe.each([
  ['squashfs-gzip', 'squashfs, gzip'],
  ['squashfs-xz', 'squashfs, xz'],
  ['squashfs-lz4', 'squashfs, lz4'],
  ['squashfs-zstd', 'squashfs, zstd'],
  ['squashfs-small-blocks', 'squashfs, zstd'],
  ['squashfs-no-fragments', 'squashfs, zstd'],
  ['squashfs-always-fragments', 'squashfs, gzip'],
  ['squashfs-stored', 'squashfs, gzip'],
])('%s of mksquashfs', (name, description) => {
  const image = openImage(golden(`rootfs/${name}`));
  const { root, iso } = image;

  test('says what it is', () => expect(root.description).toBe(description));

  test.each(files)('%s', (path, sha256) => {
    const file = root.find(path);
    expect(file && sha256Of(readRootFile(iso, file))).toBe(sha256);
  });

  test('a part of a file is exactly that part', () => {
    expectParts(image, 'ostree/repo/objects/ab/tail.file');
    const file = root.find('ostree/repo/objects/ab/tail.file');
    const end = file?.size ?? 0;
    expect([...(file?.pieces(end, end + 4096) ?? [0])]).toEqual([]);
  });

  test('only regular files are found', () => {
    expect(root.find('ostree/repo/objects/ff/link.file')).toBeUndefined();
    expect(root.find('ostree/repo/objects/ff')).toBeUndefined();
    expect(root.find('ostree/repo/objects/ff/none.file')).toBeUndefined();
    expect(root.find('ostree/repo/objects/ab/tail.file/more')).toBeUndefined();
    expect(root.hasFolder('ostree/repo/objects')).toBe(true);
    expect(root.hasFolder('ostree/repo/objects/ab/tail.file')).toBe(false);
    expect(root.hasFolder('sysroot')).toBe(false);
  });
});

test('thousands of files in one folder', () => {
  const { root, iso } = openImage(golden('rootfs/squashfs-many'));
  for (let i = 1; i <= 2500; i += 7) {
    const file = root.find(`ostree/repo/objects/12/${i}.file`);
    const text = `file ${i}\n`.repeat(300).slice(0, 800 + (i % 300));
    expect(file && readRootFile(iso, file).toString()).toBe(text);
  }
});

test('holes cost nothing', () => {
  const { root } = openImage(golden('rootfs/squashfs-zstd'));
  const pieces = [...(root.find('ostree/repo/objects/ff/sparse.file')?.pieces(0, 800_000) ?? [])];
  expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(200_000);
});

test('unsupported features are distinguished from damage', () => {
  const image = golden('rootfs/squashfs-gzip');
  const edited = (at: number, value: number) => {
    const copy = Buffer.from(image);
    copy.writeUInt16LE(value, at);
    return () => openImage(copy);
  };
  expect(edited(20, 3)).toThrow(expect.objectContaining({ code: 'SQUASHFS_COMPRESSION' }));
  expect(edited(6, 4)).toThrow(expect.objectContaining({ code: 'SQUASHFS_TOO_LARGE' }));
  expect(edited(28, 3)).toThrow(expect.objectContaining({ code: 'SQUASHFS_VERSION' }));
  expect(edited(0, 0)).toThrow(expect.objectContaining({ code: 'ROOT_IMAGE_KIND' }));
  expect(edited(22, 20)).toThrow(expect.objectContaining({ code: 'SQUASHFS_BAD' }));
  expect(() => openImage(image.subarray(0, -5000))).toThrow(
    expect.objectContaining({ code: 'SQUASHFS_BAD' }),
  );
});

const tiny = listedFiles('tiny');
const tinyPaths = tiny.map(([path]) => path);

/** Where the inode table starts: everything after it says where the data is. */
const tablesOf = (image: Buffer) => Number(image.readBigUInt64LE(64));

describe.each(['gzip', 'xz', 'lz4', 'zstd'])('10,000 mutations of squashfs with %s', (comp) => {
  const compressed = golden(`rootfs/tiny-squashfs-${comp}`);
  // Its tables are not compressed: mutations reach the structures.
  const plain = golden(`rootfs/tiny-squashfs-${comp}-noI`);

  test.each(tiny)('%s is in both', (path, sha256) => {
    for (const { root, iso } of [compressed, plain].map(openImage)) {
      const file = root.find(path);
      expect(file && sha256Of(readRootFile(iso, file))).toBe(sha256);
    }
  });

  test.each([
    ['all of the image', compressed, 3000, 0],
    ['its tables', plain, 6000, tablesOf(plain)],
    ['its superblock', plain.subarray(0, 96), 1000, 0],
  ])('%s: what is in it, or a RehydrateError', async (_part, image, runs, from) => {
    const rest = plain.subarray(image.length);
    const whole = (bytes: Uint8Array) => (rest.length > 0 ? Buffer.concat([bytes, rest]) : bytes);
    expect(readEnds(whole(image), tinyPaths)).toBeGreaterThan(4);
    const unpack = unpackChanged(whole(image), tinyPaths);
    const decode = async (bytes: Uint8Array) => readEnds(whole(bytes), tinyPaths, unpack);
    expect(await survive(image, runs, decode, from)).toBeGreaterThan(runs / 20);
  });
});
