/** The description of a root image in its superblock. */
export type RootFilesystem = SquashfsSuperblock | ErofsSuperblock;

/** https://dr-emann.github.io/squashfs/squashfs.html#_the_superblock */
export interface SquashfsSuperblock {
  readonly kind: 'squashfs';
  readonly compression: string;
  /** Bytes. */
  readonly blockSize: number;
  readonly inodes: number;
  readonly fragments: number;
  readonly bytesUsed: number;
  readonly version: string;
}

/** Linux fs/erofs/erofs_fs.h, `struct erofs_super_block`. */
export interface ErofsSuperblock {
  readonly kind: 'erofs';
  /** Algorithms that the image may use; empty if it is not compressed. */
  readonly compression: readonly string[];
  /** Bytes. */
  readonly blockSize: number;
  readonly inodes: number;
  /** Bytes. */
  readonly bytesUsed: number;
}

/** Enough bytes for both formats. */
export const SUPERBLOCKS_SIZE = 1024 + 128;

const SQUASHFS_COMPRESSIONS = ['none', 'gzip', 'lzma', 'lzo', 'xz', 'lz4', 'zstd'];
const EROFS_OFFSET = 1024;
const EROFS_MAGIC = 0xe0f5e1e2;
const EROFS_COMPRESSIONS = ['lz4', 'lzma', 'deflate', 'zstd'];
/** INCOMPAT bits: 0x1 = LZ4_0PADDING (any compression), 0x2 = COMPR_CFGS (algorithms are listed). */
const EROFS_ZERO_PADDING = 0x1;
const EROFS_COMPR_CFGS = 0x2;

/** Decodes the first bytes of a root image; `undefined` if its format is unknown. */
export function decodeSuperblock(head: Uint8Array): RootFilesystem | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  return decodeSquashfs(bytes) ?? decodeErofs(bytes);
}

function decodeSquashfs(bytes: Buffer): SquashfsSuperblock | undefined {
  if (bytes.length < 96 || bytes.toString('latin1', 0, 4) !== 'hsqs') return undefined;
  const compression = bytes.readUInt16LE(20);
  return {
    kind: 'squashfs',
    compression: SQUASHFS_COMPRESSIONS[compression] ?? `unknown (${compression})`,
    blockSize: bytes.readUInt32LE(12),
    inodes: bytes.readUInt32LE(4),
    fragments: bytes.readUInt32LE(16),
    bytesUsed: Number(bytes.readBigUInt64LE(40)),
    version: `${bytes.readUInt16LE(28)}.${bytes.readUInt16LE(30)}`,
  };
}

function decodeErofs(bytes: Buffer): ErofsSuperblock | undefined {
  if (bytes.length < SUPERBLOCKS_SIZE || bytes.readUInt32LE(EROFS_OFFSET) !== EROFS_MAGIC) {
    return undefined;
  }
  const superblock = bytes.subarray(EROFS_OFFSET);
  const incompat = superblock.readUInt32LE(80);
  const algorithms = superblock.readUInt16LE(84);
  const blockSize = 2 ** superblock.readUInt8(12);
  const listed = EROFS_COMPRESSIONS.filter((_, bit) => (algorithms & (1 << bit)) !== 0);
  return {
    kind: 'erofs',
    // Without the list, that field is the LZ4 match distance, and LZ4 the only algorithm.
    compression:
      (incompat & EROFS_COMPR_CFGS) !== 0
        ? listed
        : (incompat & EROFS_ZERO_PADDING) !== 0
          ? ['lz4']
          : [],
    blockSize,
    inodes: Number(superblock.readBigUInt64LE(16)),
    bytesUsed: superblock.readUInt32LE(36) * blockSize,
  };
}
