import { expect, test } from 'vitest';
import { opaqueKind } from './opaque.ts';

test.each([
  ['4c554b53babe0001', 'encrypted by LUKS'],
  ['eb58902d4656452d46532d', 'encrypted by BitLocker'],
  ['04224d18', 'compressed with lz4'],
  ['02214c18', 'compressed with lz4'],
  ['425a6839314159265359', 'compressed with bzip2'],
  ['5d00008000ffffffff', 'compressed with lzma'],
  ['4c5a495001', 'compressed with lzip'],
  ['894c5a4f000d0a1a0a', 'compressed with lzop'],
  ['1f9d90', 'compressed with compress'],
  ['377abcaf271c', 'a 7z archive'],
  ['526172211a0701', 'a RAR archive'],
  ['53616c7465645f5f', 'encrypted by OpenSSL'],
  ['fd377a585a00', 'compressed with xz'],
  ['504b0304', 'a zip archive'],
  ['', undefined],
  ['514649fb', undefined],
  ['4c554b53', undefined],
])('data that begins with %s is %s', (head, kind) => {
  expect(opaqueKind(Buffer.from(head, 'hex'))).toBe(kind);
});
