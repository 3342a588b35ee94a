import { badErofs, type Superblock, unsupported } from './superblock.ts';

/** Reads of the image; offsets count from its start. Throws FormatError `EROFS_BAD` past the end. */
export interface ImageReader {
  readonly length: number;
  bytes(offset: number, length: number): Buffer;
}

export interface Inode {
  readonly kind: 'file' | 'directory' | 'other';
  readonly layout: 'plain' | 'inline' | 'chunks' | 'full' | 'compact';
  /** Bytes. */
  readonly size: number;
  /** The union field: block address, chunk format… */
  readonly field: number;
  /** Offset of the inode, and the offset after it and its attributes. */
  readonly offset: number;
  readonly end: number;
}

const LAYOUTS = ['plain', 'full', 'inline', 'compact', 'chunks'] as const;
/** The slot that inode numbers count in. */
const SLOT = 32;
const EXTENDED = 1;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;

export function readInode(image: ImageReader, { inodes }: Superblock, nid: number): Inode {
  const offset = inodes + nid * SLOT;
  const head = image.bytes(offset, SLOT);
  const format = head.readUInt16LE(0);
  const layout = LAYOUTS[(format >>> 1) & 7];
  if (layout === undefined) throw badErofs(`an inode of layout ${(format >>> 1) & 7}`, offset);
  if (format >>> 4 !== 0) throw unsupported(`inode format 0x${format.toString(16)}`);
  const extended = (format & EXTENDED) !== 0;
  const size = extended ? Number(head.readBigUInt64LE(8)) : head.readUInt32LE(8);
  const type = head.readUInt16LE(4) & S_IFMT;
  const attributes = head.readUInt16LE(2);
  return {
    kind: type === S_IFREG ? 'file' : type === S_IFDIR ? 'directory' : 'other',
    layout,
    size,
    field: head.readUInt32LE(16),
    offset,
    end: offset + (extended ? 2 : 1) * SLOT + (attributes === 0 ? 0 : 12 + 4 * (attributes - 1)),
  };
}
