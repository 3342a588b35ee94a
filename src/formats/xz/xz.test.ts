import { randomBytes } from 'node:crypto';
import { execa } from 'execa';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { survive } from '../../../test/golden/mutate.ts';
import { FormatError } from '../../core/errors.ts';
import { decodeXz, decodeXzBuffer } from './stream.ts';

/** By the xz program: our decoder has no encoder beside it. */
async function xz(input: Uint8Array, ...options: string[]): Promise<Buffer> {
  const { stdout } = await execa('xz', ['-c', ...options], { input, encoding: 'buffer' });
  return Buffer.from(stdout);
}

/** Decodes a stream; counts the zeros that came as such. */
function unpack(packed: Uint8Array): { bytes: Buffer; zeros: number; read: number } {
  const parts: Buffer[] = [];
  let zeros = 0;
  let read = 0;
  decodeXz(
    (length) => {
      if (read + length > packed.length) throw new FormatError('end', { code: 'SHORT_READ' });
      read += length;
      return packed.subarray(read - length, read);
    },
    {
      data: (bytes) => parts.push(Buffer.from(bytes)),
      zeros(length) {
        zeros += length;
        parts.push(Buffer.alloc(length));
      },
    },
  );
  return { bytes: Buffer.concat(parts), zeros, read };
}

const text = Buffer.from(
  Array.from({ length: 20_000 }, (_, i) => `line ${i} ${(i * 7919) % 1000}\n`).join(''),
);
const noise = randomBytes(200_000);
/** The shape of an osmet's stream: islands of data in a sea of zeros. */
const disk = Buffer.concat([
  ...[text.subarray(0, 5000), Buffer.alloc(3 << 20), noise.subarray(0, 70_000), Buffer.alloc(4095)],
  ...[text, Buffer.alloc(1), noise.subarray(0, 100), Buffer.alloc(9 << 20), Buffer.of(1)],
  ...[Buffer.alloc(5 << 20)],
]);

describe.each([
  [['-0']],
  [['-6']],
  [['-9e']],
  [['--check=none']],
  [['--check=crc32']],
  [['--check=sha256']],
  [['--block-size=100000']],
  [['--lzma2=dict=4KiB']],
  [['--lzma2=lc=0,lp=4,pb=0']],
  [['--lzma2=lc=4,lp=0,pb=4']],
  [['--lzma2=mode=fast,mf=hc3,nice=8']],
])('xz %j', (options) => {
  test.each([
    ['text', text],
    ['noise', noise],
    ['disk', disk],
    ['zeros', Buffer.alloc(2_000_003)],
    ['a byte', Buffer.of(7)],
    ['nothing', Buffer.alloc(0)],
  ])('%s', async (_name, input) => {
    const { bytes } = unpack(await xz(input, ...options));
    expect(bytes.equals(input)).toBe(true);
  });
});

test('long runs of zeros are reported as such', async () => {
  const { zeros } = unpack(await xz(disk, '-9'));
  expect(zeros).toBeGreaterThan(0.95 * (17 << 20));
});

test('bytes after the stream are not read', async () => {
  const packed = await xz(text);
  const { bytes, read } = unpack(Buffer.concat([packed, noise]));
  expect(bytes.equals(text)).toBe(true);
  expect(read).toBe(packed.length);
});

test('a buffer is never filled beyond its end', async () => {
  const packed = await xz(text);
  expect(decodeXzBuffer(packed, text.length).equals(text)).toBe(true);
  expect(() => decodeXzBuffer(packed, text.length - 1)).toThrow(/more than/);
});

test.each([
  [['--x86', '--lzma2'], 'XZ_FILTER'],
  [['--delta=dist=4', '--lzma2'], 'XZ_FILTER'],
  [['--lzma2=dict=65MiB'], 'XZ_DICTIONARY'],
])('%j is not for us', async (options, code) => {
  const packed = await xz(text, ...options);
  expect(() => unpack(packed)).toThrow(expect.objectContaining({ kind: 'unsupported', code }));
});

test('every cut is an error', async () => {
  const packed = await xz(text.subarray(0, 3000));
  for (let length = 0; length < packed.length; length++) {
    expect(() => decodeXzBuffer(packed.subarray(0, length), 10_000)).toThrow(FormatError);
  }
});

test('any mutation is an error, or the check of the contents would have to find it', async () => {
  const input = Buffer.concat([
    text.subarray(0, 2000),
    Buffer.alloc(50_000),
    text.subarray(0, 500),
  ]);
  const packed = await xz(input, '--check=crc32');
  await survive(packed, 10_000, async (bytes) => {
    // With CRC32 over everything, a mutation that decodes can only be none at all.
    expect(decodeXzBuffer(bytes, 1 << 16).equals(input)).toBe(true);
  });
  const unchecked = await xz(input, '--check=none');
  await survive(unchecked, 5000, async (bytes) => {
    expect(decodeXzBuffer(bytes, 1 << 16).length).toBeLessThanOrEqual(1 << 16);
  });
});

test('round trip of random runs', async () => {
  const run = fc.oneof(
    fc.nat(20_000).map((length) => Buffer.alloc(length)),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    fc.tuple(fc.nat(255), fc.nat(5000)).map(([byte, length]) => Buffer.alloc(length, byte)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(run, { maxLength: 12 }), async (runs) => {
      const input = Buffer.concat(runs);
      expect(unpack(await xz(input, '-0')).bytes.equals(input)).toBe(true);
    }),
    { numRuns: 25 },
  );
});
