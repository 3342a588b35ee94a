import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { survive } from '../../../test/golden/mutate.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import {
  type Content,
  decodeContents,
  digestLengthFor,
  encodeContents,
  lookupIn,
  padded,
} from './contents.ts';

const content = (text: string, size: number): Content => ({
  sha256: createHash('sha256').update(text).digest('hex') as Sha256,
  size,
});
const CONTENTS = Array.from({ length: 200 }, (_, i) => content(`c${i}`, 1 + i * i * 37));

describe('the list of contents', () => {
  test('round-trips, with the offset of each content', () => {
    const list = decodeContents(Buffer.from(encodeContents(CONTENTS, 8)), 'list');
    expect([...list.sizes]).toEqual(CONTENTS.map(({ size }) => size));
    expect(list.offsets[2]).toBe(padded(1) + padded(38));
    expect(list.baseSize).toBe(CONTENTS.reduce((sum, { size }) => sum + padded(size), 0));
    const lookup = lookupIn(list);
    for (const [index, { sha256, size }] of CONTENTS.entries()) {
      expect(lookup.find(sha256, size)).toBe(index);
      expect(lookup.find(sha256, size + 1)).toBe(-1);
    }
    expect(lookup.hasSize(38)).toBe(true);
    expect(lookup.hasSize(2)).toBe(false);
  });

  test('has as many digits as distinguish the contents', () => {
    expect(digestLengthFor(CONTENTS)).toBe(8);
    const twin = { sha256: `${'0'.repeat(40)}${'1'.repeat(24)}` as Sha256, size: 5 };
    const other = { sha256: `${'0'.repeat(40)}${'2'.repeat(24)}` as Sha256, size: 5 };
    expect(digestLengthFor([twin, other])).toBe(21);
    expect(digestLengthFor([twin, { ...other, size: 6 }])).toBe(8);
    expect(digestLengthFor([twin, twin])).toBe(8);
  });

  test('10,000 mutations', async () => {
    const bytes = Buffer.from(encodeContents(CONTENTS, 8));
    const rejected = await survive(bytes, 10_000, async (mutated) => {
      decodeContents(Buffer.from(mutated), 'list');
    });
    expect(rejected).toBeGreaterThan(1000);
  });
});
