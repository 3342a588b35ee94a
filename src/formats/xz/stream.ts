import { crc32 } from 'node:zlib';
import { UnsupportedError } from '../../core/errors.ts';
import { zeroChunks } from '../../core/io/zero.ts';
import { badLzma } from './lzma.ts';
import { decodeLzma2, type Take } from './lzma2.ts';
import { type Output, Window } from './window.ts';

// xz's doc/xz-file-format.txt, version 1.2.
const HEADER_MAGIC = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]);
const FOOTER_MAGIC = Buffer.from('YZ');
const INDEX = 0x00;
const LZMA2 = 0x21;
const CHECK_CRC32 = 1;
/** Bytes of each type of check. */
const CHECK_SIZES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
const MAX_VLI_SIZE = 9;

/** `xz -9` uses 64 MiB. */
export const MAX_DICTIONARY = 64 << 20;

export interface XzOptions {
  /** Called between chunks; may throw to stop. */
  readonly pause?: () => void;
  /** More output than this is an error; bytes. */
  readonly limit?: number;
}

/**
 * Decodes one .xz stream: `take` returns its next bytes, `output` receives the unpacked data. Bytes after
 * the stream are not read.
 *
 * Own code, because no other decoder reports runs of zeros as such: liblzma (used by `xz` and every npm
 * package) writes and checksums each byte of the gigabytes of zeros in an osmet. Headers, sizes and CRC32
 * checks are verified. CRC64 and SHA-256 checks of the contents are not: the disk made from an osmet is
 * proved by its own SHA-256.
 *
 * @throws FormatError `XZ_BAD`, UnsupportedError `XZ_FILTER` or `XZ_DICTIONARY`.
 */
export function decodeXz(
  take: Take,
  output: Output,
  { pause = () => {}, limit = Number.MAX_SAFE_INTEGER }: XzOptions = {},
): void {
  const header = Buffer.from(take(12));
  if (header.compare(HEADER_MAGIC, 0, 6, 0, 6) !== 0) throw badLzma('no xz magic');
  const check = header.readUInt8(7);
  if (header.readUInt8(6) !== 0 || check > 15) throw badLzma('unknown stream flags');
  if (crc32(header.subarray(6, 8)) !== header.readUInt32LE(8)) throw badLzma('bad stream header');
  const counted = counting(take);
  let indexSize = 0;
  const records: { unpadded: number; unpacked: number }[] = [];
  for (;;) {
    const start = counted.count();
    const size = counted.take(1)[0] ?? 0;
    if (size === INDEX) {
      checkIndex(counted, records, start);
      indexSize = counted.count() - start;
      break;
    }
    const { dictionary, packed, unpacked } = blockHeader(size, counted.take);
    const headerEnd = counted.count();
    const checked = check === CHECK_CRC32 ? withCrc32(output) : { output, value: () => undefined };
    const window = new Window(Math.min(dictionary, Math.max(limit, 4096)), checked.output);
    decodeLzma2(counted.take, window, () => {
      if (window.total > limit) throw badLzma(`more than ${limit} bytes of output`);
      pause();
    });
    window.finish();
    if (window.total > limit) throw badLzma(`more than ${limit} bytes of output`);
    const dataEnd = counted.count();
    if (packed !== undefined && packed !== dataEnd - headerEnd)
      throw badLzma('a wrong packed size');
    if (unpacked !== undefined && unpacked !== window.total) throw badLzma('a wrong unpacked size');
    const padding = (4 - ((dataEnd - start) % 4)) % 4;
    if (counted.take(padding).some((byte) => byte !== 0)) throw badLzma('bad padding');
    const checkBytes = Buffer.from(counted.take(CHECK_SIZES[check] ?? 0));
    const crc = checked.value();
    if (crc !== undefined && crc !== checkBytes.readUInt32LE(0)) throw badLzma('a wrong CRC32');
    records.push({ unpadded: counted.count() - start - padding, unpacked: window.total });
  }
  const footer = Buffer.from(take(12));
  if (footer.compare(FOOTER_MAGIC, 0, 2, 10, 12) !== 0 || footer.readUInt8(9) !== check) {
    throw badLzma('no stream footer');
  }
  if (crc32(footer.subarray(4, 10)) !== footer.readUInt32LE(0)) throw badLzma('bad stream footer');
  if ((footer.readUInt32LE(4) + 1) * 4 !== indexSize) throw badLzma('an index of another size');
}

/** Decodes a whole .xz file in memory to at most `limit` bytes. */
export function decodeXzBuffer(bytes: Uint8Array, limit: number): Buffer {
  const unpacked = Buffer.alloc(limit);
  let end = 0;
  let at = 0;
  const take: Take = (length) => {
    if (at + length > bytes.length) throw badLzma('it ends too early');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const room = (length: number) => {
    if (end + length > limit) throw badLzma(`more than ${limit} bytes of output`);
  };
  const output: Output = {
    data(piece) {
      room(piece.length);
      unpacked.set(piece, end);
      end += piece.length;
    },
    zeros(length) {
      room(length);
      end += length;
    },
  };
  decodeXz(take, output, { limit });
  return unpacked.subarray(0, end);
}

interface BlockHeader {
  /** Bytes. */
  readonly dictionary: number;
  readonly packed: number | undefined;
  readonly unpacked: number | undefined;
}

function blockHeader(sizeByte: number, take: Take): BlockHeader {
  const size = (sizeByte + 1) * 4;
  const header = Buffer.concat([Buffer.from([sizeByte]), take(size - 1)]);
  if (crc32(header.subarray(0, size - 4)) !== header.readUInt32LE(size - 4)) {
    throw badLzma('bad block header');
  }
  let at = 2;
  const within: Take = (length) => {
    if (at + length > size - 4) throw badLzma('bad block header');
    at += length;
    return header.subarray(at - length, at);
  };
  const flags = header.readUInt8(1);
  if ((flags & 0x3c) !== 0) throw badLzma('unknown block flags');
  const packed = (flags & 0x40) === 0 ? undefined : vli(within);
  const unpacked = (flags & 0x80) === 0 ? undefined : vli(within);
  const filter = vli(within);
  if ((flags & 3) !== 0 || filter !== LZMA2) {
    throw new UnsupportedError('the xz stream uses a filter in front of LZMA2', {
      code: 'XZ_FILTER',
      context: { filter, filters: (flags & 3) + 1 },
      hint: 'use the qemu engine',
    });
  }
  const properties = within(vli(within));
  if (properties.length !== 1) throw badLzma('bad filter properties');
  return { dictionary: dictionarySize(properties[0] ?? 0), packed, unpacked };
}

function dictionarySize(bits: number): number {
  if (bits > 40) throw badLzma(`dictionary size ${bits}`);
  const size = bits === 40 ? 2 ** 32 - 1 : (2 | (bits & 1)) * 2 ** ((bits >>> 1) + 11);
  if (size <= MAX_DICTIONARY) return size;
  throw new UnsupportedError(`the xz stream has a dictionary of ${size} bytes`, {
    code: 'XZ_DICTIONARY',
    context: { size, limit: MAX_DICTIONARY },
    hint: 'use the qemu engine',
  });
}

/** The index repeats the sizes of all blocks, which must match. */
function checkIndex(
  { take, count }: Counting,
  records: readonly { unpadded: number; unpacked: number }[],
  start: number,
): void {
  let crc = crc32(Buffer.from([INDEX]));
  const hashed: Take = (length) => {
    const bytes = take(length);
    crc = crc32(bytes, crc);
    return bytes;
  };
  if (vli(hashed) !== records.length) throw badLzma('the index has another number of blocks');
  for (const { unpadded, unpacked } of records) {
    if (vli(hashed) !== unpadded || vli(hashed) !== unpacked) {
      throw badLzma('the index has different sizes');
    }
  }
  const padding = (4 - ((count() - start) % 4)) % 4;
  if (hashed(padding).some((byte) => byte !== 0)) throw badLzma('bad index padding');
  if (Buffer.from(take(4)).readUInt32LE(0) !== crc) throw badLzma('bad index');
}

/** A variable-length integer: 7 bits a byte, the low ones first. */
function vli(take: Take): number {
  let value = 0;
  for (let i = 0; i < MAX_VLI_SIZE; i++) {
    const byte = take(1)[0] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (!Number.isSafeInteger(value)) break;
      return value;
    }
  }
  throw badLzma('a number is too large');
}

interface Counting {
  readonly take: Take;
  /** Bytes taken so far. */
  count(): number;
}

function counting(inner: Take): Counting {
  let taken = 0;
  return {
    take(length) {
      taken += length;
      return inner(length);
    },
    count: () => taken,
  };
}

function withCrc32(inner: Output): { output: Output; value(): number } {
  let crc = 0;
  return {
    output: {
      data(bytes) {
        crc = crc32(bytes, crc);
        inner.data(bytes);
      },
      zeros(length) {
        for (const chunk of zeroChunks(length)) crc = crc32(chunk, crc);
        inner.zeros(length);
      },
    },
    value: () => crc >>> 0,
  };
}
