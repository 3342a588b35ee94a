import { beforeAll, expect, test } from 'vitest';
import { survive } from '../golden/mutate.ts';

const DATA = Buffer.alloc(64, 'x');
const MIB = 1 << 20;

/** An earlier peak, which must not hide a later one. */
beforeAll(() => {
  expect(Buffer.alloc(300 * MIB, 1)).toHaveLength(300 * MIB);
});

test('a decoder that keeps a little of each run fails', async () => {
  const kept: Buffer[] = [];
  const leak = async () => void kept.push(Buffer.alloc(MIB, 1));
  await expect(survive(DATA, 80, leak, 0, { maxLeft: 40 * MIB })).rejects.toThrow(
    'to be less than',
  );
  expect(kept.length).toBeGreaterThanOrEqual(80);
});

test('a decoder that briefly needs too much memory fails', async () => {
  const greedy = async () => void Buffer.alloc(100 * MIB, 1);
  await expect(survive(DATA, 1, greedy, 0, { maxMemory: 50 * MIB })).rejects.toThrow(
    'to be less than',
  );
});

test('a decoder that frees its memory passes', async () => {
  const frugal = async () => void Buffer.alloc(MIB, 1);
  expect(await survive(DATA, 80, frugal, 0, { maxLeft: 40 * MIB })).toBe(0);
});
