import { FormatError } from '../../core/errors.ts';

/**
 * The part of bincode 1.3 that osmet files use, with the options of coreos-installer's `bincoder()`
 * (src/io/mod.rs): little endian, variable-length integers, trailing bytes allowed. Structs are
 * their fields in order, fixed arrays of bytes are the bytes, strings and vectors a length first.
 */
export interface Cursor {
  readonly bytes: Uint8Array;
  position: number;
  /** Offset of `bytes[0]` in the file, for messages. */
  readonly base: number;
}

/** The longest encoding of an integer, in bytes. */
export const MAX_VARINT_SIZE = 9;

/** Values from here on give the width of the integer that follows. */
const U16 = 251;
const U32 = 252;
const U64 = 253;
const MAX_U32 = 0xffffffff;

export function cursor(bytes: Uint8Array, base = 0): Cursor {
  return { bytes, position: 0, base };
}

/** A u64 of at most 2^53 - 1, which is enough for sizes and offsets of real files. */
export function decodeUint(at: Cursor): number {
  const first = take(at, 1);
  const tag = at.bytes[first] ?? 0;
  if (tag < U16) return tag;
  if (tag > U64) throw bad(at, `integer tag ${tag} is not defined`);
  const width = tag === U16 ? 2 : tag === U32 ? 4 : 8;
  const start = take(at, width);
  const low = littleEndian(at.bytes, start, Math.min(width, 4));
  if (width < 8) return low;
  const value = littleEndian(at.bytes, start + 4, 4) * (MAX_U32 + 1) + low;
  if (value > Number.MAX_SAFE_INTEGER) throw bad(at, 'integer is 2^53 or more');
  return value;
}

export function decodeU32(at: Cursor): number {
  const value = decodeUint(at);
  if (value > MAX_U32) throw bad(at, `${value} does not fit 32 bits`);
  return value;
}

/** UTF-8 text of at most `maxBytes`, without control characters. */
export function decodeString(at: Cursor, maxBytes: number): string {
  const length = decodeUint(at);
  if (length > maxBytes) throw bad(at, `string of ${length} bytes, at most ${maxBytes} expected`);
  const bytes = decodeBytes(at, length);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad(at, 'string is not UTF-8');
  }
  if (/\p{Cc}/u.test(text)) throw bad(at, 'string has control characters');
  return text;
}

/** The next `length` bytes: a view, not a copy. */
export function decodeBytes(at: Cursor, length: number): Uint8Array {
  const start = take(at, length);
  return at.bytes.subarray(start, start + length);
}

export function encodeUint(value: number): Buffer {
  if (value < U16) return Buffer.of(value);
  const [tag, width] =
    value <= 0xffff ? [U16, 2] : value <= MAX_U32 ? [U32, 4] : ([U64, 8] as const);
  const result = Buffer.alloc(1 + width);
  result.writeUInt8(tag);
  if (width === 8) result.writeBigUInt64LE(BigInt(value), 1);
  else result.writeUIntLE(value, 1, width);
  return result;
}

export function encodeString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([encodeUint(bytes.length), bytes]);
}

function littleEndian(bytes: Uint8Array, start: number, width: number): number {
  let value = 0;
  for (let i = width - 1; i >= 0; i--) value = value * 256 + (bytes[start + i] ?? 0);
  return value;
}

/** Advances by `length`; returns the old position. */
function take(at: Cursor, length: number): number {
  const start = at.position;
  if (start + length > at.bytes.length) {
    throw new FormatError(`data ends at offset ${at.base + at.bytes.length}`, {
      code: 'BINCODE_TRUNCATED',
      context: { offset: at.base + start, wanted: length, available: at.bytes.length - start },
    });
  }
  at.position = start + length;
  return start;
}

function bad(at: Cursor, what: string): FormatError {
  return new FormatError(`${what} (before offset ${at.base + at.position})`, {
    code: 'BINCODE_BAD',
    context: { offset: at.base + at.position },
  });
}
