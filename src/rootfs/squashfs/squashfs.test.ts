import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { listedFiles, openImage, readRootFile } from '../../../test/support/root-files.ts';
import { sha256Of } from '../../../test/support/synthetic-bundle.ts';

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
  const { root, iso } = openImage(golden(`rootfs/${name}`));

  test('says what it is', () => expect(root.description).toBe(description));

  test.each(files)('%s', (path, sha256) => {
    const file = root.find(path);
    expect(file && sha256Of(readRootFile(iso, file))).toBe(sha256);
  });

  test('a part of a file is that part', () => {
    const file = root.find('ostree/repo/objects/ab/tail.file');
    if (file === undefined) throw new Error('no such file');
    const whole = readRootFile(iso, file);
    const range = fc.tuple(fc.nat(file.size), fc.nat(70_000));
    fc.assert(
      fc.property(range, ([start, length]) => {
        const end = Math.min(start + length, file.size);
        expect(readRootFile(iso, file, start, end).equals(whole.subarray(start, end))).toBe(true);
      }),
      { numRuns: 20 },
    );
    expect([...file.pieces(file.size, file.size + 4096)]).toEqual([]);
  });

  test('what is no regular file is not found', () => {
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

test('what it does not know is told apart from damage', () => {
  const image = golden('rootfs/squashfs-gzip');
  const edited = (at: number, value: number) => {
    const copy = Buffer.from(image);
    copy.writeUInt16LE(value, at);
    return () => openImage(copy);
  };
  expect(edited(20, 3)).toThrow(expect.objectContaining({ code: 'SQUASHFS_COMPRESSION' }));
  expect(edited(28, 3)).toThrow(expect.objectContaining({ code: 'SQUASHFS_VERSION' }));
  expect(edited(0, 0)).toThrow(expect.objectContaining({ code: 'ROOT_IMAGE_KIND' }));
  expect(edited(22, 20)).toThrow(expect.objectContaining({ code: 'SQUASHFS_BAD' }));
  expect(() => openImage(image.subarray(0, -5000))).toThrow(
    expect.objectContaining({ code: 'SQUASHFS_BAD' }),
  );
});

/** Where the inode table starts: everything behind it tells where the data is. */
const tablesOf = (image: Buffer) => Number(image.readBigUInt64LE(64));

/** Goes through all files without unpacking them; returns how many pieces there were. */
function walk(image: Uint8Array): number {
  const { root } = openImage(image);
  let pieces = 0;
  for (const [path] of files) {
    const file = root.find(path);
    // A mutated size may claim a terabyte: look at the ends only, as an osmet's extents would.
    for (const start of file ? [0, Math.max(0, file.size - 100_000)] : []) {
      for (const piece of file?.pieces(start, start + 100_000) ?? [])
        pieces += piece.length > 0 ? 1 : 0;
    }
  }
  return pieces;
}

test.each([
  ['squashfs-stored', 9000], // its metadata is not compressed: mutations reach the structures
  ['squashfs-zstd', 1000],
])('%s: any mutation of the tables is survived', async (name, runs) => {
  const image = golden(`rootfs/${name}`);
  expect(walk(image)).toBeGreaterThan(10);
  const rejected = await survive(image, runs, async (bytes) => walk(bytes), tablesOf(image));
  expect(rejected).toBeGreaterThan(runs / 20);
});

test('any mutation of the superblock is survived', async () => {
  const image = golden('rootfs/squashfs-zstd');
  await fc.assert(
    fc.asyncProperty(fc.nat(95), fc.nat(255), async (at, value) => {
      const copy = Buffer.from(image);
      copy[at] = value;
      await survive(copy, 1, async (bytes) => walk(bytes), 0);
    }),
    { numRuns: 300 },
  );
});
