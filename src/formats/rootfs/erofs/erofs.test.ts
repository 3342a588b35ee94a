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

const files = listedFiles();

describe.each([
  'erofs-plain',
  'erofs-chunks',
  'erofs-lz4',
  'erofs-lz4-big',
  'erofs-lz4-full-index',
  'erofs-lz4-tails',
  'erofs-zstd',
  'erofs-zstd-fragments',
  'erofs-zstd-dedupe',
  'erofs-deflate',
  'erofs-deflate-tails',
  'erofs-lzma',
  'erofs-fcos',
  'erofs-fcos-42',
])('%s of mkfs.erofs', (name) => {
  const image = openImage(golden(`rootfs/${name}`));
  const { root, iso } = image;

  test.each(files)('%s', (path, sha256) => {
    const file = root.find(path);
    expect(file && sha256Of(readRootFile(iso, file))).toBe(sha256);
  });

  test('a part of a file is that part', () =>
    expectParts(image, 'ostree/repo/objects/ab/tail.file'));

  test('only regular files are found', () => {
    expect(root.find('ostree/repo/objects/ff/link.file')).toBeUndefined();
    expect(root.find('ostree/repo/objects/ff')).toBeUndefined();
    expect(root.find('ostree/repo/objects/ff/none.file')).toBeUndefined();
    expect(root.hasFolder('ostree/repo/objects')).toBe(true);
    expect(root.hasFolder('sysroot')).toBe(false);
  });
});

test('unsupported features are distinguished from damage', () => {
  const image = golden('rootfs/erofs-plain');
  const edited = (at: number, value: number) => {
    const copy = Buffer.from(image);
    copy[at] = value;
    return () => openImage(copy);
  };
  expect(edited(1024 + 81, 1)).toThrow(expect.objectContaining({ code: 'EROFS_FEATURE' }));
  expect(edited(1024 + 86, 1)).toThrow(expect.objectContaining({ code: 'EROFS_FEATURE' }));
  expect(edited(1024 + 12, 30)).toThrow(expect.objectContaining({ code: 'EROFS_BAD' }));
});

const tiny = listedFiles('tiny');
const tinyPaths = tiny.map(([path]) => path);

describe.each(['plain', 'chunks', 'lz4', 'lzma', 'deflate', 'zstd'])('tiny-erofs-%s', (name) => {
  const image = golden(`rootfs/tiny-erofs-${name}`);

  test.each(tiny)('%s', (path, sha256) => {
    const { root, iso } = openImage(image);
    const file = root.find(path);
    expect(file && sha256Of(readRootFile(iso, file))).toBe(sha256);
  });

  test('10,000 mutations: the contents, or a RehydrateError', async () => {
    expect(readEnds(image, tinyPaths)).toBeGreaterThan(4);
    const unpack = unpackChanged(image, tinyPaths);
    const decode = async (bytes: Uint8Array) => readEnds(bytes, tinyPaths, unpack);
    expect(await survive(image, 10_000, decode, 1024)).toBeGreaterThan(500);
  });
});
