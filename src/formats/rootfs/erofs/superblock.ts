import { FormatError, UnsupportedError } from '../../../core/errors.ts';

/** The fields of the superblock that are needed to read files; Linux fs/erofs/erofs_fs.h. */
export interface Superblock {
  /** Bytes. */
  readonly blockSize: number;
  readonly blockBits: number;
  readonly rootNid: number;
  /** Offset of inode 0 in the image in bytes. */
  readonly inodes: number;
  /** The inode that holds the tails of others; undefined if there is none. */
  readonly packedNid: number | undefined;
  readonly zeroPadding: boolean;
}

export const SUPERBLOCK_OFFSET = 1024;
export const SUPERBLOCK_SIZE = 128;
const MAGIC = 0xe0f5e1e2;
const MIN_BLOCK_BITS = 9;
const MAX_BLOCK_BITS = 16;

const ZERO_PADDING = 0x01;
/** Shares its bit with big clusters. */
const COMPR_CFGS = 0x02;
const CHUNKED_FILE = 0x04;
const HEAD2_OR_DEVICES = 0x08;
const TAIL_PACKING = 0x10;
/** Shares its bit with deduplication. */
const FRAGMENTS = 0x20;
const XATTR_PREFIXES = 0x40;
const KNOWN =
  ZERO_PADDING |
  COMPR_CFGS |
  CHUNKED_FILE |
  HEAD2_OR_DEVICES |
  TAIL_PACKING |
  FRAGMENTS |
  XATTR_PREFIXES;

/**
 * Decodes the 128 bytes at {@link SUPERBLOCK_OFFSET}.
 *
 * @throws FormatError `EROFS_BAD`, UnsupportedError `EROFS_FEATURE`.
 */
export function decodeSuperblock(block: Buffer): Superblock {
  if (block.length < SUPERBLOCK_SIZE || block.readUInt32LE(0) !== MAGIC) {
    throw badErofs('no erofs superblock', SUPERBLOCK_OFFSET);
  }
  const blockBits = block.readUInt8(12);
  if (blockBits < MIN_BLOCK_BITS || blockBits > MAX_BLOCK_BITS) {
    throw badErofs(`blocks of 2^${blockBits} bytes`, SUPERBLOCK_OFFSET + 12);
  }
  const features = block.readUInt32LE(80);
  if ((features & ~KNOWN) !== 0) throw unsupported(`feature bits 0x${features.toString(16)}`);
  if (block.readUInt16LE(86) !== 0) throw unsupported('other devices');
  const blockSize = 2 ** blockBits;
  const packed = Number(block.readBigUInt64LE(96));
  return {
    blockSize,
    blockBits,
    rootNid: block.readUInt16LE(14),
    inodes: block.readUInt32LE(40) * blockSize,
    packedNid: (features & FRAGMENTS) !== 0 && packed > 0 ? packed : undefined,
    zeroPadding: (features & ZERO_PADDING) !== 0,
  };
}

/** `offset` counts from the start of the image. */
export function badErofs(what: string, offset: number): FormatError {
  return new FormatError(`damaged erofs: ${what}`, {
    code: 'EROFS_BAD',
    context: { offset },
    hint: 'fetch the ISO again and check its SHA-256',
  });
}

export function unsupported(what: string): UnsupportedError {
  return new UnsupportedError(`erofs with ${what}`, {
    code: 'EROFS_FEATURE',
    hint: 'use the qemu engine',
  });
}
