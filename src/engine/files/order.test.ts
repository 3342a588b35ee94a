import { expect, test } from 'vitest';
import { hashBlock } from './order.ts';

test('a block has the same hash on hosts of either byte order', () => {
  const block = Buffer.from(Array.from({ length: 2048 }, (_, i) => (i * 7 + (i >> 8)) & 255));
  const view = new DataView(block.buffer, block.byteOffset, block.length);
  expect(hashBlock(view, 0)).toBe(-1_935_079_912);
  expect(hashBlock(view, 1024)).toBe(-1_929_471_578);
});
