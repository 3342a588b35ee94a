import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { listedFiles, openImage, readRootFile } from '../../../test/support/root-files.ts';
import { memorySource } from '../../core/io/memory-source.ts';
import { listExt4 } from './ext4/index.ts';
import type { ListedFile } from './root-files.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('all files of an image, by their names', () => {
  test.each([
    'squashfs-zstd',
    'squashfs-gzip',
    'squashfs-no-fragments',
    'squashfs-always-fragments',
    'erofs-plain',
    'erofs-lz4',
    'erofs-fcos',
    'erofs-fcos-42',
    'erofs-zstd-fragments',
  ])('%s', (name) => {
    const { root, iso } = openImage(golden(`rootfs/${name}`));
    const found = [...root.list()].map(({ path, file }) => [path, sha256(readRootFile(iso, file))]);
    const expected = listedFiles().map(([path, digest]) => [path.replace(/^\.\//, ''), digest]);
    expect(found.sort()).toEqual(expected.sort());
  });

  test.each(['squashfs-objects', 'erofs-objects'])('hard links have one key: %s', (name) => {
    const { root } = openImage(golden(`rootfs/${name}`));
    const keys = new Map<string, Set<number>>();
    for (const { key, file } of root.list()) {
      keys.set(key, (keys.get(key) ?? new Set()).add(file.size));
    }
    for (const sizes of keys.values()) expect(sizes.size).toBe(1);
  });
});

/** Walks the list and asks where the bytes lie, as the base `files` does. */
function locate(files: Iterable<ListedFile>): void {
  let pieces = 0;
  for (const { file } of files) {
    for (const _ of file.pieces(0, Math.min(file.size, 1 << 20))) if (++pieces > 10_000) return;
  }
}

describe('10,000 mutations of', () => {
  test.each(['tiny-erofs-plain', 'tiny-squashfs-zstd-noI'])('%s', async (name) => {
    const rejected = await survive(golden(`rootfs/${name}`), 5000, async (mutated) => {
      locate(openImage(mutated).root.list());
    });
    expect(rejected).toBeGreaterThan(100);
  });

  test('an ext4', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ext4-'));
    try {
      const image = join(folder, 'image');
      await writeFile(join(folder, 'a'), 'first');
      await execa('mkdir', [join(folder, 'tree')]);
      for (let i = 0; i < 8; i++)
        await writeFile(join(folder, 'tree', `f${i}`), `${i}`.repeat(3000));
      await execa('truncate', ['-s', '256K', image]);
      await execa('mkfs.ext4', [
        '-q',
        '-O',
        '^has_journal',
        '-N',
        '32',
        '-d',
        join(folder, 'tree'),
        image,
      ]);
      const bytes = await readFile(image);
      const source = memorySource(bytes);
      const contents = [...listExt4(source)].map(({ file }) =>
        readRootFile(bytes, file).toString(),
      );
      expect(contents.sort()).toEqual(Array.from({ length: 8 }, (_, i) => `${i}`.repeat(3000)));
      const rejected = await survive(bytes, 10_000, async (mutated) => {
        locate(listExt4(memorySource(mutated)));
      });
      expect(rejected).toBeGreaterThan(100);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
