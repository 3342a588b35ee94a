import fc from 'fast-check';
import { expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { decodeSuperblock } from './superblock.ts';

test.each(['gzip', 'xz', 'lz4', 'zstd'])('squashfs %s', (compression) => {
  expect(decodeSuperblock(golden(`superblock/squashfs-${compression}`))).toMatchObject({
    kind: 'squashfs',
    compression,
    blockSize: 262144,
    inodes: 4,
    fragments: 1,
    version: '4.0',
  });
});

test.each([
  ['plain', []],
  ['lz4', ['lz4']],
  ['lz4-big', ['lz4']],
])('erofs %s', (name, compression) => {
  expect(decodeSuperblock(golden(`superblock/erofs-${name}`))).toMatchObject({
    kind: 'erofs',
    compression,
    blockSize: 4096,
    inodes: 4,
  });
});

test('anything else is unknown, and never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
      expect(decodeSuperblock(bytes)).toBeUndefined();
    }),
  );
});

test('10,000 mutations of each kind: something or nothing, and never an exception', async () => {
  for (const name of ['squashfs-zstd', 'erofs-lz4-big']) {
    const head = golden(`superblock/${name}`);
    await survive(head, 10_000, async (bytes) => {
      expect([undefined, 'squashfs', 'erofs']).toContain(decodeSuperblock(bytes)?.kind);
    });
  }
});
