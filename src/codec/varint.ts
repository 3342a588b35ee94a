import { FormatError } from '../core/errors.ts';

/** Unsigned LEB128, up to 2^53 - 1: seven bits a byte, least significant first. */
const MAX_BYTES = 8;

export interface VarintWriter {
  unsigned(value: number): void;
  /** Zigzag: small magnitudes are short, whatever their sign. */
  signed(value: number): void;
  bytes(): Uint8Array;
}

export function varintWriter(): VarintWriter {
  let buffer = new Uint8Array(256);
  let used = 0;
  const unsigned = (value: number) => {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`no varint: ${value}`);
    if (used + MAX_BYTES > buffer.length) {
      const larger = new Uint8Array(buffer.length * 2);
      larger.set(buffer);
      buffer = larger;
    }
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) buffer[used++] = (rest % 0x80) | 0x80;
    buffer[used++] = rest;
  };
  return {
    unsigned,
    signed: (value) => unsigned(value < 0 ? -2 * value - 1 : 2 * value),
    bytes: () => buffer.slice(0, used),
  };
}

export interface VarintReader {
  unsigned(): number;
  signed(): number;
  readonly done: boolean;
}

/** Throws FormatError `RECIPE_VARINT` past the end and for numbers over 2^53 - 1. */
export function varintReader(bytes: Uint8Array, what: string): VarintReader {
  let at = 0;
  const unsigned = () => {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_BYTES; count++) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80 && Number.isSafeInteger(value)) return value;
      scale *= 0x80;
    }
    throw new FormatError(`${what}: malformed number at byte ${at}`, {
      code: 'RECIPE_VARINT',
      context: { offset: at },
    });
  };
  return {
    unsigned,
    signed: () => {
      const value = unsigned();
      return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    },
    get done() {
      return at >= bytes.length;
    },
  };
}
