import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noise, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import type { Compression } from '../stream/names.ts';
import { readReleased } from './released.ts';

/** Two parts that do not end on any grid, and together are larger than a chunk that is read at a time. */
const first = Buffer.concat([noise(1_300_001, 'first'), Buffer.alloc(70_000)]);
const second = Buffer.concat([Buffer.alloc(3), noise(50_007, 'second')]);
const both = Buffer.concat([first, second]);
const nothing = Buffer.alloc(0);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

const through =
  (program: string, ...args: string[]) =>
  (input: Buffer): Buffer =>
    execFileSync(program, args, { input, maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'pipe'] });

async function unpack(bytes: Uint8Array, compression: Compression): Promise<Buffer> {
  const path = join(folder.path, `image.${compression}`);
  await writeFile(path, bytes);
  const pieces: Uint8Array[] = [];
  for await (const piece of readReleased({ path, compression }).target) pieces.push(piece);
  return Buffer.concat(pieces);
}

const gzip = through('gzip', '-1c');
const zstd = through('zstd', '-1c');
const xz = through('xz', '-0c');
const skippable = (length: number) => {
  const head = Buffer.from('5a2a4d1800000000', 'hex');
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, noise(length, 's')]);
};

describe('a file of several parts is read completely', () => {
  const cases: readonly [string, Compression, () => Buffer, Buffer][] = [
    ['gzip members', 'gz', () => Buffer.concat([gzip(first), gzip(second)]), both],
    ['an empty member', 'gz', () => Buffer.concat([gzip(nothing), gzip(both)]), both],
    ['gzip and zeros', 'gz', () => Buffer.concat([gzip(both), Buffer.alloc(70_000)]), both],
    ['gzip of nothing', 'gz', () => gzip(nothing), nothing],
    ['pigz blocks', 'gz', () => through('pigz', '-1ci')(both), both],
    ['zstd frames', 'zst', () => Buffer.concat([zstd(first), zstd(second)]), both],
    ['zstd of nothing', 'zst', () => zstd(nothing), nothing],
    ['an empty frame', 'zst', () => Buffer.concat([zstd(nothing), zstd(both)]), both],
    [
      'skippable frames',
      'zst',
      () =>
        Buffer.concat([
          skippable(0),
          skippable(5000),
          zstd(first),
          skippable(7),
          zstd(second),
          skippable(1_100_000),
        ]),
      both,
    ],
    ['a skippable frame alone', 'zst', () => skippable(9), nothing],
    ['zstd without sums or sizes', 'zst', () => through('zstd', '-1c', '--no-check')(both), both],
    ['the largest window', 'zst', () => through('zstd', '-1c', '--long=31')(both), both],
    ['xz streams', 'xz', () => Buffer.concat([xz(first), xz(second)]), both],
    [
      'xz streams and padding',
      'xz',
      () => Buffer.concat([xz(first), Buffer.alloc(8), xz(second), Buffer.alloc(4)]),
      both,
    ],
    ['xz of nothing', 'xz', () => xz(nothing), nothing],
    ['xz blocks', 'xz', () => through('xz', '-0c', '--block-size=100000')(both), both],
    ['xz without a check', 'xz', () => through('xz', '-0c', '--check=none')(both), both],
  ];
  test.each(cases)('%s', async (_, compression, make, contents) => {
    expect((await unpack(make(), compression)).equals(contents)).toBe(true);
  });

  test('many small frames, wherever chunks end', async () => {
    const frames = Array.from({ length: 300 }, (_, i) => noise(4000 + i, `${i}`));
    const file = Buffer.concat(frames.map((frame) => zstdCompressSync(frame)));
    expect(file.length).toBeGreaterThan(1 << 20);
    expect((await unpack(file, 'zst')).equals(Buffer.concat(frames))).toBe(true);
  });

  test('a frame that ends where a chunk does', async () => {
    const frame = zstdCompressSync(first);
    const padding = skippable(2 * (1 << 20) - frame.length - 8);
    const file = Buffer.concat([padding, frame, zstdCompressSync(second)]);
    expect((await unpack(file, 'zst')).equals(both)).toBe(true);
    await expect(
      unpack(Buffer.concat([padding, frame, Buffer.from('x')]), 'zst'),
    ).rejects.toMatchObject({ code: 'COMPRESSED_DAMAGED' });
  });
});

describe('an incomplete file is refused', () => {
  const small = Buffer.from('the quick brown fox jumps over the lazy dog, '.repeat(4));
  const files: Readonly<Record<string, () => Buffer>> = {
    gz: () => Buffer.concat([gzipSync(small), gzipSync(small)]),
    zst: () => Buffer.concat([zstdCompressSync(small), zstdCompressSync(small), skippable(20)]),
  };
  const damaged = { code: 'COMPRESSED_DAMAGED' };

  test.each(['gz', 'zst'] as const)('%s, cut anywhere but between its parts', async (kind) => {
    const file = files[kind]?.() ?? nothing;
    const ends: number[] = [];
    for (let length = 0; length < file.length; length++) {
      const contents = await unpack(file.subarray(0, length), kind).catch((error: unknown) => {
        expect(error).toMatchObject(damaged);
      });
      if (contents !== undefined) ends.push(contents.length);
    }
    expect(ends).toEqual(kind === 'gz' ? [small.length] : [small.length, 2 * small.length]);
  });

  test('xz, truncated at various places', async () => {
    const file = Buffer.concat([xz(small), xz(small)]);
    for (const length of [
      0,
      1,
      11,
      12,
      50,
      file.length / 2 - 4,
      file.length - 12,
      file.length - 1,
    ]) {
      await expect(unpack(file.subarray(0, length), 'xz'), `${length}`).rejects.toMatchObject(
        damaged,
      );
    }
  });

  test.each(['gz', 'zst', 'xz', 'zip'] as const)('%s with trailing data', async (kind) => {
    const make = { gz: gzip, zst: zstd, xz, zip: zipOf }[kind];
    const file = await make(both);
    expect((await unpack(file, kind)).equals(both)).toBe(true);
    const tails = [Buffer.from('x'), Buffer.from('\0\0\0garbage'), noise(3_000_000, 't')];
    for (const tail of tails) {
      // unzip finds the end of a zip within its last 64 KiB, and says nothing of what follows.
      if (kind === 'zip' && tail.length < 65_536) {
        expect((await unpack(Buffer.concat([file, tail]), kind)).equals(both)).toBe(true);
        continue;
      }
      await expect(unpack(Buffer.concat([file, tail]), kind)).rejects.toMatchObject(damaged);
    }
  });

  test('empty, or not of the kind that its extension says', async () => {
    for (const kind of ['gz', 'zst', 'xz', 'zip'] as const) {
      await expect(unpack(nothing, kind)).rejects.toMatchObject(damaged);
      await expect(unpack(small, kind)).rejects.toMatchObject(damaged);
    }
    await expect(unpack(gzip(small), 'xz')).rejects.toMatchObject({
      message: expect.stringContaining('begins like a .gz file'),
    });
    const lzma = through('xz', '--format=lzma', '-c')(small);
    await expect(unpack(lzma, 'xz')).rejects.toMatchObject(damaged);
  });
});

async function zipOf(contents: Buffer): Promise<Buffer> {
  const cwd = folder.path;
  await writeFile(join(cwd, 'disk.img'), contents);
  execFileSync('sh', ['-c', 'rm -f made.zip; zip -q -1 made.zip disk.img'], { cwd });
  return readFile(join(cwd, 'made.zip'));
}
