import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { survive } from '../../../test/golden/mutate.ts';
import {
  cursor,
  decodeString,
  decodeU32,
  decodeUint,
  encodeString,
  encodeUint,
} from './bincode.ts';

const hex = (text: string) => cursor(Buffer.from(text, 'hex'));

describe('varint', () => {
  // The boundaries in the documentation of bincode 1.3's VarintEncoding.
  test.each([
    ['00', 0],
    ['fa', 250],
    ['fbfb00', 251],
    ['fbffff', 65535],
    ['fc00000100', 65536],
    ['fcffffffff', 2 ** 32 - 1],
    ['fd0000000001000000', 2 ** 32],
    ['fdffffffffffff1f00', Number.MAX_SAFE_INTEGER],
  ])('%s is %d', (bytes, value) => {
    expect(decodeUint(hex(bytes))).toBe(value);
    expect(encodeUint(value).toString('hex')).toBe(bytes);
  });

  test.each([
    ['fe00000000000000000000000000000000', 'tag 254'],
    ['ff', 'tag 255'],
    ['fd0000000000002000', '2^53'],
    ['fdffffffffffffffff', '2^53'],
    ['fb00', 'ends'],
    ['', 'ends'],
  ])('%s is refused', (bytes, message) => {
    expect(() => decodeUint(hex(bytes))).toThrow(message);
  });

  test('a u32 is at most 2^32 - 1', () => {
    expect(() => decodeU32(hex('fd0000000001000000'))).toThrow('32 bits');
  });

  test('any safe integer survives a round trip', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const bytes = encodeUint(value);
        const at = cursor(bytes);
        return decodeUint(at) === value && at.position === bytes.length;
      }),
    );
  });
});

describe('string', () => {
  test('any printable text survives a round trip', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        fc.pre(!/\p{Cc}/u.test(text));
        return decodeString(cursor(encodeString(text)), 4096) === text;
      }),
    );
  });

  test.each([
    ['0361', 'ends'],
    ['02c328', 'UTF-8'],
    ['021b5b', 'control'],
    ['fdffffffffffff1f00', 'at most'],
  ])('%s is refused', (bytes, message) => {
    expect(() => decodeString(hex(bytes), 256)).toThrow(message);
  });
});

test('10,000 mutations of numbers and strings: an answer or a RehydrateError', async () => {
  const numbers = [0, 250, 251, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER].map(encodeUint);
  const bytes = Buffer.concat([
    encodeString('Fedora CoreOS 42'),
    ...numbers,
    encodeString('s390x'),
  ]);
  const rejected = await survive(bytes, 10_000, async (mutated) => {
    const at = cursor(mutated);
    decodeString(at, 256);
    for (const _number of numbers) expect(Number.isSafeInteger(decodeUint(at))).toBe(true);
    decodeString(at, 256);
    expect(at.position).toBeLessThanOrEqual(mutated.length);
  });
  expect(rejected).toBeGreaterThan(3000);
});
