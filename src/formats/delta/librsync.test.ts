import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FormatError } from '../../core/errors.ts';
import {
  createDeltaDecoder,
  type DeltaCommand,
  encodeCopy,
  encodeEnd,
  encodeLiteralHeader,
  encodeMagic,
} from './librsync.ts';

function decode(bytes: Buffer, chunk = 3): DeltaCommand[] {
  const decoder = createDeltaDecoder('test');
  const commands: DeltaCommand[] = [];
  for (let at = 0; at < bytes.length; at += chunk) {
    for (const command of decoder.push(bytes.subarray(at, at + chunk))) {
      commands.push(
        command.kind === 'copy' ? command : { kind: 'literal', data: Buffer.from(command.data) },
      );
    }
  }
  decoder.finish();
  return commands;
}

describe('golden bytes, from librsync doc and `rdiff delta` output', () => {
  test.each([
    [encodeMagic(), '72730236'],
    [encodeLiteralHeader(1), '01'],
    [encodeLiteralHeader(64), '40'],
    [encodeLiteralHeader(65), '4141'],
    [encodeLiteralHeader(0x100), '420100'],
    [encodeLiteralHeader(0x10000), '4300010000'],
    [encodeLiteralHeader(2 ** 32), '440000000100000000'],
    [encodeCopy(0, 1), '450001'],
    [encodeCopy(0x1234, 0x10), '49123410'],
    [encodeCopy(0x100000000, 0x10000), '53000000010000000000010000'],
    [encodeCopy(2 ** 40, 2 ** 33), '5400000100000000000000000200000000'],
    [encodeEnd(), '00'],
  ])('%#', (bytes, hex) => {
    expect(bytes.toString('hex')).toBe(hex);
  });
});

test('decode(encode(commands)) = commands, however the input is chunked', () => {
  const command = fc.oneof(
    fc.record({
      kind: fc.constant('copy' as const),
      offset: fc.maxSafeNat(),
      length: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    }),
    fc.record({
      kind: fc.constant('literal' as const),
      data: fc.uint8Array({ minLength: 1, maxLength: 400 }),
    }),
  );
  fc.assert(
    fc.property(fc.array(command), fc.integer({ min: 1, max: 50 }), (commands, chunk) => {
      const bytes = Buffer.concat([
        encodeMagic(),
        ...commands.map((c) =>
          c.kind === 'copy'
            ? encodeCopy(c.offset, c.length)
            : Buffer.concat([encodeLiteralHeader(c.data.length), c.data]),
        ),
        encodeEnd(),
      ]);
      // Literals come in pieces: compare what they make together.
      const join = (list: readonly DeltaCommand[]) =>
        list.map((c) =>
          c.kind === 'copy' ? `${c.offset}+${c.length}` : Buffer.from(c.data).toString('hex'),
        );
      const glue = (parts: string[]) =>
        parts.join(',').replace(/(?<=[0-9a-f]{2}),(?=[0-9a-f]{2})/g, '');
      expect(glue(join(decode(bytes, chunk)))).toBe(glue(join(commands)));
    }),
  );
});

test.each([
  ['not a delta', '00112233', 'DELTA_MAGIC'],
  ['reserved command', '7273023655', 'DELTA_COMMAND'],
  ['empty literal', '727302364100', 'DELTA_LENGTH'],
  ['empty copy', '72730236450000', 'DELTA_LENGTH'],
  ['unsafe number', '7273023644ffffffffffffffff', 'DELTA_NUMBER'],
  ['no end', '72730236', 'DELTA_TRUNCATED'],
  ['literal cut short', '7273023605aabb', 'DELTA_TRUNCATED'],
  ['data after the end', '727302360000', 'DELTA_TRAILING'],
])('%s is a FormatError', (_what, hex, code) => {
  expect(() => decode(Buffer.from(hex, 'hex'))).toThrow(FormatError);
  expect(() => decode(Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ code }));
});

test('random bytes never throw anything but FormatError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
      try {
        decode(Buffer.concat([encodeMagic(), tail]));
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }),
    { numRuns: 10_000 },
  );
});
