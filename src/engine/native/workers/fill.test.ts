import { execa } from 'execa';
import { expect, test } from 'vitest';
import { survive } from '../../../../test/golden/mutate.ts';
import { memorySource } from '../../../core/io/memory-source.ts';
import { fillRanges } from './fill.ts';

/** A disk of three ranges that no mapping covers, and holes between them. */
const RANGES = Float64Array.of(0, 3000, 8192, 20_000, 24_576, 28_000);
const SIZE = 30_000;
const START = 100;

const unmapped = Buffer.alloc(3000 + 11_808 + 3424);
unmapped.write('a partition table', 0);
unmapped.write('the end of the first range, the start of the second', 2980);
unmapped.fill('of no object; ', 9000, 10_000);
unmapped.write('the last sector', unmapped.length - 15);

const xz = async (...options: string[]) =>
  Buffer.from(
    (await execa('xz', ['-c', ...options], { input: unmapped, encoding: 'buffer' })).stdout,
  );

/** Unpacks a stream that lies somewhere in a file. Returns the disk, which only the ranges may change. */
function fill(stream: Uint8Array): Buffer {
  const iso = Buffer.concat([Buffer.alloc(START, 0xee), stream, Buffer.alloc(50, 0xee)]);
  const disk = Buffer.alloc(SIZE);
  const reader = { read: memorySource(iso).readSync, close() {} };
  const request = { name: 'an.osmet', iso: 'an.iso', start: START, end: START + stream.length };
  const write = (bytes: Uint8Array, at: number) => {
    const inside = RANGES.some(
      (from, i) => i % 2 === 0 && at >= from && at + bytes.length <= (RANGES[i + 1] ?? 0),
    );
    if (!inside) throw new TypeError(`${bytes.length} bytes at ${at} are in no range`);
    disk.set(bytes, at);
  };
  fillRanges({ ...request, ranges: RANGES }, reader, { write }, () => {});
  return disk;
}

const expected = Buffer.alloc(SIZE);
unmapped.copy(expected, 0, 0, 3000);
unmapped.copy(expected, 8192, 3000, 3000 + 11_808);
unmapped.copy(expected, 24_576, 3000 + 11_808);

test.each([['-0'], ['-9']])('data packed by xz %s goes to the right places', async (level) => {
  expect(fill(await xz(level)).equals(expected)).toBe(true);
});

test('a stream that ends early or has trailing data is refused', async () => {
  const packed = await xz('-0');
  const padded = Buffer.concat([packed, Buffer.alloc(300_000)]);
  expect(fill(padded).equals(expected)).toBe(true);
  const short = await execa('xz', ['-c'], { input: unmapped.subarray(1), encoding: 'buffer' });
  const empty = await execa('xz', ['-c'], { input: '', encoding: 'buffer' });
  const bad = [
    packed.subarray(0, -1),
    Buffer.concat([packed, Buffer.from('x')]),
    Buffer.concat([padded, Buffer.from('x')]),
    Buffer.concat([packed, packed]),
    Buffer.concat([packed, Buffer.from(empty.stdout)]),
    Buffer.from(short.stdout),
  ];
  for (const stream of bad) {
    expect(() => fill(stream)).toThrow(expect.objectContaining({ code: 'OSMET_STREAM' }));
  }
});

test('10,000 mutations of the stream: exactly the ranges of the disk, or a RehydrateError', async () => {
  const packed = await xz('-0', '--check=crc32');
  const rejected = await survive(packed, 10_000, async (bytes) => {
    expect(fill(bytes).equals(expected)).toBe(true);
  });
  expect(rejected).toBeGreaterThan(5000);
  await survive(await xz('-0', '--check=none'), 2000, async (bytes) => fill(bytes));
});
