import fc from 'fast-check';
import * as v from 'valibot';
import { expect, test } from 'vitest';
import { FormatError } from '../core/errors.ts';
import { decodeFrame, encodeFrame, type FrameType } from './recipe-frame.ts';
import { varintReader, varintWriter } from './varint.ts';

const TYPE: FrameType<{ name: string }> = {
  codec: 'test',
  version: 3,
  columns: 2,
  header: v.object({ name: v.string() }),
};

test('header and columns come back', () => {
  fc.assert(
    fc.property(fc.string(), fc.uint8Array(), fc.uint8Array(), (name, a, b) => {
      const bytes = encodeFrame(TYPE, { header: { name }, columns: [a, b] });
      const { header, columns } = decodeFrame(TYPE, bytes);
      expect(header).toEqual({ name });
      expect(columns.map((column) => Uint8Array.from(column))).toEqual([a, b]);
    }),
  );
});

test('truncated, extended and foreign frames are format errors', () => {
  const bytes = encodeFrame(TYPE, {
    header: { name: 'x' },
    columns: [new Uint8Array(5), new Uint8Array(9)],
  });
  for (let size = 0; size < bytes.length; size++) {
    expect(() => decodeFrame(TYPE, bytes.subarray(0, size))).toThrow(FormatError);
  }
  expect(() => decodeFrame(TYPE, Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(
    expect.objectContaining({ code: 'RECIPE_FRAME' }),
  );
  for (const other of [{ codec: 'other' }, { version: 4 }, { columns: 3 }]) {
    expect(() => decodeFrame({ ...TYPE, ...other }, bytes)).toThrow(
      expect.objectContaining({ code: 'JSON_SCHEMA' }),
    );
  }
});

test('varints come back, short ones short', () => {
  const numbers = fc.array(fc.oneof(fc.maxSafeNat(), fc.nat(300)));
  fc.assert(
    fc.property(numbers, (values) => {
      const writer = varintWriter();
      for (const value of values) {
        writer.unsigned(value);
        const half = Math.floor(value / 2);
        writer.signed(half);
        writer.signed(-half);
      }
      const reader = varintReader(writer.bytes(), 'test');
      for (const value of values) {
        const half = Math.floor(value / 2);
        expect([reader.unsigned(), reader.signed(), reader.signed() + 0]).toEqual([
          value,
          half,
          0 - half,
        ]);
      }
      expect(reader.done).toBe(true);
    }),
  );
  const writer = varintWriter();
  writer.signed(-64);
  expect(writer.bytes().length).toBe(1);
});

test('varints without an end are format errors', () => {
  for (const bytes of [[], [0x80], Array.from({ length: 20 }, () => 0xff)]) {
    const reader = varintReader(Uint8Array.from(bytes), 'test');
    expect(() => reader.unsigned()).toThrow(expect.objectContaining({ code: 'RECIPE_VARINT' }));
  }
});
