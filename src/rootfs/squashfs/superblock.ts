import { FormatError, UnsupportedError } from '../../errors.ts';
import type { Codec } from '../decompress.ts';

/** What reading files needs of the superblock. Offsets count from the start of the image, bytes. */
export interface Superblock {
  readonly blockSize: number;
  readonly codec: Codec;
  readonly fragments: number;
  readonly rootInode: InodeRef;
  readonly bytesUsed: number;
  readonly inodeTable: number;
  readonly directoryTable: number;
  readonly fragmentTable: number;
}

/** Where an inode lies: offset of its metadata block in the inode table, offset in the unpacked block. */
export interface InodeRef {
  readonly block: number;
  readonly offset: number;
}

export const SUPERBLOCK_SIZE = 96;
const MIN_BLOCK_SIZE = 4096;
const MAX_BLOCK_SIZE = 1 << 20;
/** Compressors by number; lzma (2) and lzo (3) are not what CoreOS has ever used. */
const CODECS: readonly (Codec | undefined)[] = [
  undefined,
  'zlib',
  undefined,
  undefined,
  'xz',
  'lz4',
  'zstd',
];
const NAMES = ['none', 'gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'];

/**
 * Decodes the superblock of squashfs 4.0 (https://dr-emann.github.io/squashfs/squashfs.html).
 *
 * @throws FormatError `SQUASHFS_BAD`, UnsupportedError `SQUASHFS_COMPRESSION`, `SQUASHFS_VERSION`.
 */
export function decodeSuperblock(bytes: Uint8Array, length: number): Superblock {
  const block = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (block.length < SUPERBLOCK_SIZE || block.toString('latin1', 0, 4) !== 'hsqs') {
    throw badSquashfs('no squashfs superblock', 0);
  }
  const version = `${block.readUInt16LE(28)}.${block.readUInt16LE(30)}`;
  if (version !== '4.0') {
    throw new UnsupportedError(`squashfs of version ${version}`, {
      code: 'SQUASHFS_VERSION',
      context: { version },
      hint: 'use the qemu engine',
    });
  }
  const compression = block.readUInt16LE(20);
  const codec = CODECS[compression];
  if (codec === undefined) {
    throw new UnsupportedError(`squashfs compressed with ${NAMES[compression] ?? compression}`, {
      code: 'SQUASHFS_COMPRESSION',
      context: { compression },
      hint: 'use the qemu engine',
    });
  }
  const blockSize = block.readUInt32LE(12);
  const log = block.readUInt16LE(22);
  if (blockSize < MIN_BLOCK_SIZE || blockSize > MAX_BLOCK_SIZE || blockSize !== 2 ** log) {
    throw badSquashfs(`block size ${blockSize}`, 12);
  }
  const root = block.readBigUInt64LE(32);
  const superblock: Superblock = {
    blockSize,
    codec,
    fragments: block.readUInt32LE(16),
    rootInode: { block: Number(root >> 16n), offset: Number(root & 0xffffn) },
    bytesUsed: number64(block, 40),
    inodeTable: number64(block, 64),
    directoryTable: number64(block, 72),
    fragmentTable: number64(block, 80),
  };
  const { bytesUsed, inodeTable, directoryTable } = superblock;
  if (bytesUsed > length) {
    throw badSquashfs(`it wants ${bytesUsed} bytes, ${length} are there`, 40);
  }
  if (inodeTable < SUPERBLOCK_SIZE || inodeTable > directoryTable || directoryTable > bytesUsed) {
    throw badSquashfs('tables are out of order', 64);
  }
  return superblock;
}

/** As a number; what is too large for one is beyond any image anyway. */
export function number64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

/** `offset` counts from the start of the image. */
export function badSquashfs(what: string, offset: number, cause?: unknown): FormatError {
  return new FormatError(`damaged squashfs: ${what}`, {
    code: 'SQUASHFS_BAD',
    context: { offset },
    hint: 'fetch the ISO again and check its SHA-256',
    ...(cause === undefined ? {} : { cause }),
  });
}
