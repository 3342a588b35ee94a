import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { survive } from '../../../test/golden/mutate.ts';
import { unpackLayer } from './unpack.ts';

const DATA = Buffer.from(Array.from({ length: 40_000 }, (_, i) => `line ${i * 7919}\n`).join(''));
const SKIPPABLE = Buffer.concat([
  Buffer.from([0x55, 0x2a, 0x4d, 0x18, 5, 0, 0, 0]),
  Buffer.from('table'),
]);

async function* cut(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function unpack(bytes: Uint8Array, size = 65_536): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of unpackLayer('layer', cut(bytes, size))) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const halves = [DATA.subarray(0, 100_000), DATA.subarray(100_000)];

describe('layers', () => {
  test.each([
    ['stored', DATA],
    ['empty', Buffer.alloc(0)],
    ['gzip', gzipSync(DATA)],
    ['gzip in two members', Buffer.concat(halves.map((half) => gzipSync(half)))],
    ['zstd', zstdCompressSync(DATA)],
    ['zstd in two frames', Buffer.concat(halves.map((half) => zstdCompressSync(half)))],
    [
      'zstd:chunked: many frames, and some that hold no data',
      Buffer.concat([
        SKIPPABLE,
        ...Array.from({ length: 40 }, (_, i) =>
          zstdCompressSync(DATA.subarray(i * 10_000, (i + 1) * 10_000)),
        ),
        zstdCompressSync(DATA.subarray(400_000)),
        SKIPPABLE,
      ]),
    ],
  ])('%s', async (name, bytes) => {
    const expected = name === 'empty' ? Buffer.alloc(0) : DATA;
    for (const size of [65_536, 1000])
      expect((await unpack(bytes, size)).equals(expected)).toBe(true);
  });

  test('a frame that unpacks to more than is taken at once', async () => {
    const large = Buffer.alloc(50 << 20, 'a');
    const bytes = Buffer.concat([zstdCompressSync(large), zstdCompressSync(Buffer.from('end'))]);
    expect((await unpack(bytes)).equals(Buffer.concat([large, Buffer.from('end')]))).toBe(true);
  });

  test.each([
    ['gzip', gzipSync(DATA)],
    ['zstd', zstdCompressSync(DATA)],
  ])('%s with trailing data is refused', async (_, bytes) => {
    for (const behind of ['x', 'something']) {
      const file = Buffer.concat([bytes, Buffer.from(behind)]);
      for (const size of [65_536, 1000, bytes.length]) {
        await expect(unpack(file, size)).rejects.toMatchObject({ code: 'LAYER_DAMAGED' });
      }
    }
  });

  test.each([
    ['gzip', gzipSync(DATA)],
    ['zstd', zstdCompressSync(DATA)],
    ['stored', DATA],
  ])('%s: a reader that stops early closes the source', async (_, bytes) => {
    let ended = false;
    async function* source() {
      try {
        yield* cut(bytes, 1000);
      } finally {
        ended = true;
      }
    }
    for await (const _chunk of unpackLayer('layer', source())) break;
    expect(ended).toBe(true);
  });

  test('every format reports a cut at any offset', async () => {
    const forms = [gzipSync(DATA), Buffer.concat(halves.map((half) => zstdCompressSync(half)))];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...forms),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (form, share) => {
          const length = 6 + Math.floor(share * (form.length - 7));
          const [first = Buffer.alloc(0)] = halves;
          const whole = await unpack(form.subarray(0, length)).catch((error: unknown) => error);
          // What ends after a frame is all there for any reader.
          if (Buffer.isBuffer(whole)) expect(whole.equals(first)).toBe(true);
          else expect(whole).toMatchObject({ code: 'LAYER_DAMAGED' });
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([
    ['gzip', 3000, gzipSync(DATA.subarray(0, 3000))],
    [
      'zstd',
      7000,
      Buffer.concat([
        zstdCompressSync(DATA.subarray(0, 1500)),
        zstdCompressSync(DATA.subarray(1500, 3000)),
      ]),
    ],
  ])('10,000 mutations: %s', async (_, runs, bytes) => {
    const rejected = await survive(bytes, runs, (mutated) => unpack(mutated));
    expect(rejected).toBeGreaterThan(runs / 10);
  });
});
