import { crc32 } from 'node:zlib';

/** The parts of an .xz file around LZMA2 data: doc/xz-file-format.txt, version 1.2, of xz. */
const HEADER_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
const FOOTER_MAGIC = Buffer.from('YZ');
export const HEADER_BYTES = 12;
export const FOOTER_BYTES = 12;
const LZMA2 = 0x21;
const HAS_PACKED = 0x40;
const HAS_UNPACKED = 0x80;

/** Bytes of the checks that xz makes, by their type. */
export const CHECK_SIZES: Readonly<Record<number, number>> = { 0: 0, 1: 4, 4: 8, 10: 32 };

export const paddingOf = (length: number): number => (4 - (length % 4)) % 4;

/** A variable-length integer: 7 bits a byte, the low ones first. */
export function vli(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return Buffer.from([...bytes, left]);
}

/** Bytes followed by their CRC32. */
export function withCrc(bytes: Buffer): Buffer {
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(bytes));
  return Buffer.concat([bytes, crc]);
}

export function streamHeader(check: number): Buffer {
  return Buffer.concat([HEADER_MAGIC, withCrc(Buffer.from([0, check]))]);
}

/** Sizes of a block, as an index has them. */
export interface BlockRecord {
  /** Of header, data and check. */
  readonly unpadded: number;
  readonly unpacked: number;
}

export function streamEnd(check: number, records: readonly BlockRecord[]): Buffer {
  const list = [Buffer.of(0), vli(records.length)];
  for (const { unpadded, unpacked } of records) list.push(vli(unpadded), vli(unpacked));
  const bare = Buffer.concat(list);
  const index = withCrc(Buffer.concat([bare, Buffer.alloc(paddingOf(bare.length))]));
  const footer = Buffer.alloc(FOOTER_BYTES);
  footer.writeUInt32LE(index.length / 4 - 1, 4);
  footer[9] = check;
  FOOTER_MAGIC.copy(footer, 10);
  footer.writeUInt32LE(crc32(footer.subarray(4, 10)), 0);
  return Buffer.concat([index, footer]);
}

/** The length of the index before this footer; undefined if it is none. */
export function parseFooter(footer: Buffer): { indexBytes: number; check: number } | undefined {
  const whole =
    footer.compare(FOOTER_MAGIC, 0, 2, 10, 12) === 0 &&
    footer[8] === 0 &&
    crc32(footer.subarray(4, 10)) === footer.readUInt32LE(0);
  return whole
    ? { indexBytes: (footer.readUInt32LE(4) + 1) * 4, check: footer.readUInt8(9) }
    : undefined;
}

/**
 * @param most as many blocks as there may be
 *
 * Throws RangeError.
 */
export function parseIndex(index: Buffer, most: number): BlockRecord[] {
  const end = index.length - 4;
  if (crc32(index.subarray(0, end)) !== index.readUInt32LE(end)) throw new RangeError('bad index');
  let at = 1;
  const next = (): number => {
    for (let value = 0, i = 0; at < end && i < 9; i++) {
      const byte = index.readUInt8(at++);
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80 && Number.isSafeInteger(value)) return value;
    }
    throw new RangeError('bad index');
  };
  const count = next();
  if (count > most) throw new RangeError('too many blocks');
  const records: BlockRecord[] = [];
  while (records.length < count) records.push({ unpadded: next(), unpacked: next() });
  return records;
}

/** Of a block whose data is LZMA2 only. */
export interface BlockHeader {
  /** Bits of the dictionary's size, as the header has them. */
  readonly dictionary: number;
  readonly packed?: number | undefined;
  readonly unpacked?: number | undefined;
}

function fields({ dictionary, packed, unpacked }: BlockHeader): Buffer {
  return Buffer.concat([
    Buffer.of(
      (packed === undefined ? 0 : HAS_PACKED) | (unpacked === undefined ? 0 : HAS_UNPACKED),
    ),
    ...(packed === undefined ? [] : [vli(packed)]),
    ...(unpacked === undefined ? [] : [vli(unpacked)]),
    Buffer.of(LZMA2, 1, dictionary),
  ]);
}

/** Its length in bytes if it has no more padding than it needs. */
export function blockHeaderSize(header: BlockHeader): number {
  const bare = 1 + fields(header).length + 4;
  return bare + paddingOf(bare);
}

/** @param size of it; what is not needed becomes padding */
export function blockHeader(header: BlockHeader, size: number): Buffer {
  const bytes = Buffer.alloc(size - 4);
  bytes[0] = size / 4 - 1;
  fields(header).copy(bytes, 1);
  return withCrc(bytes);
}

/** The header of a block of LZMA2 only; undefined for others. Throws RangeError. */
export function parseBlockHeader(
  bytes: Buffer,
): { size: number; sized: boolean; dictionary: number } | undefined {
  const size = (bytes.readUInt8(0) + 1) * 4;
  if (bytes[0] === 0 || crc32(bytes.subarray(0, size - 4)) !== bytes.readUInt32LE(size - 4)) {
    throw new RangeError('bad block header');
  }
  const flags = bytes.readUInt8(1);
  const sized = flags === (HAS_PACKED | HAS_UNPACKED);
  if (flags !== 0 && !sized) return undefined;
  let at = 2;
  for (let skip = sized ? 2 : 0; skip > 0; skip--) while (bytes.readUInt8(at++) >= 0x80);
  if (bytes[at] !== LZMA2 || bytes[at + 1] !== 1) return undefined;
  return { size, sized, dictionary: bytes.readUInt8(at + 2) };
}

/** Bits of a dictionary's size that is a power of 2. */
export const dictionaryBits = (size: number): number => 2 * (Math.log2(size) - 12);

/**
 * liblzma's lzma_block_buffer_bound(): the room that a block gets if it is compressed by threads. What needs more is
 * stored.
 */
export function blockBound(unpacked: number): number {
  const lzma2 = storedSize(unpacked);
  return 92 + lzma2 + paddingOf(lzma2);
}

const STORED_CHUNK = 1 << 16;

/** Bytes of LZMA2 data that only stores. */
export const storedSize = (unpacked: number): number =>
  unpacked + 3 * Math.ceil(unpacked / STORED_CHUNK) + 1;

/** LZMA2 data that only stores, as liblzma's block_encode_uncompressed() does. */
export function* stored(contents: Buffer): Generator<Buffer> {
  for (let at = 0; at < contents.length; at += STORED_CHUNK) {
    const chunk = contents.subarray(at, at + STORED_CHUNK);
    const size = chunk.length - 1;
    yield Buffer.of(at === 0 ? 1 : 2, size >> 8, size & 0xff);
    yield chunk;
  }
  yield Buffer.of(0);
}

/** The dictionary that liblzma names where it only stores: 4 KiB. */
export const STORED_DICTIONARY = 0;
