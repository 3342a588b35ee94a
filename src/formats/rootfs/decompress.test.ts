import { deflateRawSync, deflateSync, zstdCompressSync } from 'node:zlib';
import { execa } from 'execa';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { survive } from '../../../test/golden/mutate.ts';
import { openImage } from '../../../test/support/root-files.ts';
import { FormatError } from '../../core/errors.ts';
import { type Codec, decompress } from './decompress.ts';
import { decodeLz4 } from './lz4.ts';
import { unpackUnit } from './unpack-unit.ts';

const TEXT = Buffer.from('a block of a root image, again and again; '.repeat(25));

const xz = async (...options: string[]) =>
  Buffer.from((await execa('xz', ['-c', ...options], { input: TEXT, encoding: 'buffer' })).stdout);

/** A literal run and a match of distance 42 for the rest, as the lz4 program would do it. */
function lz4Text(): Buffer {
  const length = TEXT.length - 42 - 5 - 4 - 15;
  const run = [...Array<number>(Math.floor(length / 255)).fill(255), length % 255];
  return Buffer.concat([
    ...[Buffer.of(0xff, 42 - 15), TEXT.subarray(0, 42), Buffer.of(42, 0), Buffer.from(run)],
    ...[Buffer.of(0x50), TEXT.subarray(-5)],
  ]);
}

const packed: [Codec, Buffer][] = [
  ['none', TEXT],
  ['zlib', deflateSync(TEXT)],
  ['deflate', deflateRawSync(TEXT)],
  ['zstd', zstdCompressSync(TEXT)],
  ['lz4', lz4Text()],
  ['xz', await xz('--check=crc32')],
];

test.each(packed)(
  '%s: unpacks, and refuses to unpack more than there should be',
  (codec, block) => {
    expect(Buffer.from(decompress(codec, block, TEXT.length))).toEqual(TEXT);
    expect(Buffer.from(decompress(codec, block, 10_000))).toEqual(TEXT);
    expect(() => decompress(codec, block, TEXT.length - 1)).toThrow(FormatError);
  },
);

test.each(packed.filter(([codec]) => ['none', 'lz4'].includes(codec)))(
  '%s: a part is enough where a part is wanted',
  (codec, block) => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: TEXT.length }), (limit) => {
        const part = decompress(codec, block, limit, 'part');
        expect(Buffer.from(part).equals(TEXT.subarray(0, limit))).toBe(true);
      }),
    );
  },
);

test.each(packed)(
  '%s: 10,000 mutations unpack to at most what is allowed, or throw',
  async (codec, block) => {
    await survive(block, 10_000, async (bytes) => {
      expect(decompress(codec, bytes, 2048).length).toBeLessThanOrEqual(2048);
    });
  },
);

test('microlzma: 10,000 mutations unpack to at most the limit, or throw', async () => {
  const { root, iso } = openImage(golden('rootfs/tiny-erofs-lzma'));
  const [piece] = root.find('ostree/repo/objects/00/blocks.file')?.pieces(0, 1) ?? [];
  if (piece?.unit.codec !== 'microlzma') throw new Error('the golden image has no such unit');
  const { unit } = piece;
  const stored = iso.subarray(unit.offset, unit.offset + unit.stored);
  await survive(stored, 10_000, async (bytes) => {
    expect(unpackUnit({ ...unit, length: 2048, partial: true }, bytes).length).toBe(2048);
  });
});

test('lz4: round trip with blocks of random literals and matches', () => {
  const sequence = fc.record({
    literals: fc.uint8Array({ maxLength: 40 }),
    distance: fc.integer({ min: 1, max: 300 }),
    length: fc.integer({ min: 4, max: 600 }),
  });
  fc.assert(
    fc.property(fc.array(sequence, { maxLength: 20 }), (sequences) => {
      const block: number[] = [];
      const output: number[] = [];
      const lengths = (n: number) =>
        n < 15 ? [] : [...Array<number>(Math.floor((n - 15) / 255)).fill(255), (n - 15) % 255];
      for (const { literals, distance, length } of sequences) {
        output.push(...literals);
        const back = Math.min(distance, output.length);
        if (back === 0) continue;
        const token = (Math.min(literals.length, 15) << 4) | Math.min(length - 4, 15);
        block.push(token, ...lengths(literals.length), ...literals);
        block.push(back & 255, back >> 8, ...lengths(length - 4));
        for (let i = 0; i < length; i++) output.push(output[output.length - back] ?? 0);
      }
      block.push(0x10, 7);
      output.push(7);
      expect([...decodeLz4(Uint8Array.from(block), output.length)]).toEqual(output);
    }),
  );
});
