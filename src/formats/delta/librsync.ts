/**
 * librsync's delta format, as `rdiff patch` reads it (librsync `src/command.c`, `prototab.h`):
 * a big-endian magic, then commands, then END.
 *
 *     0x00            END
 *     0x01..0x40      LITERAL of 1..64 bytes, the data follows
 *     0x41..0x44      LITERAL, length as u8/u16/u32/u64, the data follows
 *     0x45..0x54      COPY: offset in the base, then length, each u8/u16/u32/u64
 */
import type { CodeOf } from '../../core/error-codes.ts';
import { FormatError } from '../../core/errors.ts';

export const DELTA_MAGIC = 0x72730236;
const OP_END = 0x00;
const OP_LITERAL_64 = 0x40;
const OP_LITERAL_N1 = 0x41;
const OP_COPY_N1_N1 = 0x45;
const OP_COPY_N8_N8 = 0x54;
const WIDTHS = [1, 2, 4, 8] as const;

export function encodeMagic(): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(DELTA_MAGIC);
  return out;
}

export function encodeEnd(): Buffer {
  return Buffer.from([OP_END]);
}

/** The header of a LITERAL command; `length` data bytes must follow. */
export function encodeLiteralHeader(length: number): Buffer {
  if (length >= 1 && length <= OP_LITERAL_64) return Buffer.from([length]);
  const width = widthOf(length);
  const out = Buffer.alloc(1 + WIDTHS[width]);
  out[0] = OP_LITERAL_N1 + width;
  writeNumber(out, 1, WIDTHS[width], length);
  return out;
}

/** A COPY command: `length` bytes of the base from `offset`. */
export function encodeCopy(offset: number, length: number): Buffer {
  const a = widthOf(offset);
  const b = widthOf(length);
  const out = Buffer.alloc(1 + WIDTHS[a] + WIDTHS[b]);
  out[0] = OP_COPY_N1_N1 + a * 4 + b;
  writeNumber(out, 1, WIDTHS[a], offset);
  writeNumber(out, 1 + WIDTHS[a], WIDTHS[b], length);
  return out;
}

function widthOf(value: number): 0 | 1 | 2 | 3 {
  if (value < 0x100) return 0;
  if (value < 0x10000) return 1;
  return value < 0x100000000 ? 2 : 3;
}

function writeNumber(out: Buffer, at: number, width: 1 | 2 | 4 | 8, value: number): void {
  if (width === 8) out.writeBigUInt64BE(BigInt(value), at);
  else out.writeUIntBE(value, at, width);
}

export type DeltaCommand =
  | { readonly kind: 'copy'; readonly offset: number; readonly length: number }
  /** A piece of a LITERAL: long literals come in several pieces, as the input is chunked. */
  | { readonly kind: 'literal'; readonly data: Uint8Array };

export interface DeltaDecoder {
  /** The commands that `chunk` completes. `literal.data` points into `chunk`. */
  push(chunk: Uint8Array): Generator<DeltaCommand>;
  /** Call after the last chunk. Throws FormatError if the delta is cut short. */
  finish(): void;
}

/**
 * A streaming decoder in O(1) memory. Throws FormatError `DELTA_*`, with the offset in the
 * uncompressed delta, on a bad magic, an unknown command, a zero or unsafe length, or data past END.
 */
export function createDeltaDecoder(name: string): DeltaDecoder {
  /** Bytes of a command header that is split over chunks; a header has at most 17 bytes. */
  const header = Buffer.alloc(17);
  let have = 0;
  let magicSeen = false;
  let literalLeft = 0;
  let ended = false;
  let offset = 0;

  const bad = (code: CodeOf<'format'>, what: string) =>
    new FormatError(`${name}: ${what} at offset ${offset} of the uncompressed delta`, {
      code,
      context: { delta: name, offset },
      hint: 'this delta is damaged: pull or copy the bundle again',
    });

  function number(at: number, width: 1 | 2 | 4 | 8): number {
    if (width !== 8) return header.readUIntBE(at, width);
    const value = header.readBigUInt64BE(at);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw bad('DELTA_NUMBER', 'a number over 2^53');
    return Number(value);
  }

  function headerLength(): number {
    if (!magicSeen) return 4;
    const op = header[0] ?? OP_END;
    if (op <= OP_LITERAL_64) return 1;
    if (op < OP_COPY_N1_N1) return 1 + (WIDTHS[op - OP_LITERAL_N1] ?? 0);
    if (op <= OP_COPY_N8_N8) {
      const pair = op - OP_COPY_N1_N1;
      return 1 + (WIDTHS[pair >> 2] ?? 0) + (WIDTHS[pair & 3] ?? 0);
    }
    throw bad('DELTA_COMMAND', `unknown command 0x${op.toString(16)}`);
  }

  function command(): DeltaCommand | undefined {
    if (!magicSeen) {
      if (header.readUInt32BE(0) !== DELTA_MAGIC) throw bad('DELTA_MAGIC', 'not a librsync delta');
      magicSeen = true;
      return undefined;
    }
    const op = header[0] ?? OP_END;
    if (op === OP_END) {
      ended = true;
      return undefined;
    }
    if (op < OP_COPY_N1_N1) {
      literalLeft = op <= OP_LITERAL_64 ? op : number(1, WIDTHS[op - OP_LITERAL_N1] ?? 1);
      if (literalLeft === 0) throw bad('DELTA_LENGTH', 'an empty literal');
      return undefined;
    }
    const pair = op - OP_COPY_N1_N1;
    const width = WIDTHS[pair >> 2] ?? 1;
    const from = number(1, width);
    const length = number(1 + width, WIDTHS[pair & 3] ?? 1);
    if (length === 0) throw bad('DELTA_LENGTH', 'an empty copy');
    return { kind: 'copy', offset: from, length };
  }

  return {
    *push(chunk) {
      for (let at = 0; at < chunk.length; ) {
        if (ended) throw bad('DELTA_TRAILING', 'data after the end command');
        if (literalLeft > 0) {
          const data = chunk.subarray(at, at + Math.min(literalLeft, chunk.length - at));
          literalLeft -= data.length;
          at += data.length;
          offset += data.length;
          yield { kind: 'literal', data };
          continue;
        }
        header[have++] = chunk[at++] ?? 0;
        if (have < headerLength()) continue;
        const decoded = command();
        offset += have;
        have = 0;
        if (decoded) yield decoded;
      }
    },
    finish() {
      if (!ended) throw bad('DELTA_TRUNCATED', 'the delta ends early');
    },
  };
}
