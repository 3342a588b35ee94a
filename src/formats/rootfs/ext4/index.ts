import { UnsupportedError } from '../../../core/errors.ts';
import type { Source } from '../../../core/io/source.ts';
import { type ListedFile, MAX_FILE_SIZE, type Piece, type RootFile } from '../root-files.ts';
import { badExt4 } from './bad.ts';
import { type Extent, readExtents } from './extents.ts';

/** Linux Documentation/filesystems/ext4: super block, block group descriptors, index nodes. */
const SUPERBLOCK = 1024;
const MAGIC = 0xef53;
/** INCOMPAT bits: filetype, recovery, extents, 64bit, mmp, flex_bg, csum_seed. */
const KNOWN = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200 | 0x2000;
const BIT_64 = 0x80;
/** The first inode that is not reserved by the file system. */
const FIRST_INODE = 11;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const EXTENTS = 0x80000;
/** Inodes that are read at once. */
const READ = 1 << 20;
const MAX_INODES = 4 << 20;
/** Data is returned in units of this size. */
const UNIT = 1 << 20;

interface Layout {
  readonly blockSize: number;
  readonly blocks: number;
  readonly inodes: number;
  readonly inodesPerGroup: number;
  readonly inodeSize: number;
  readonly descriptorSize: number;
}

export function isExt4(head: Uint8Array): boolean {
  const at = SUPERBLOCK + 56;
  return head.length >= at + 2 && ((head[at] ?? 0) | ((head[at + 1] ?? 0) << 8)) === MAGIC;
}

/**
 * All regular files of an ext4, by inode: callers identify files by content, so names do not matter. Throws
 * FormatError `EXT4_BAD`, UnsupportedError `EXT4_FEATURE`.
 */
export function* listExt4(source: Source): Generator<ListedFile> {
  const layout = readLayout(source);
  const { inodes, inodesPerGroup, inodeSize, blockSize } = layout;
  for (let group = 0; group * inodesPerGroup < inodes; group++) {
    const { table, used } = readGroup(source, layout, group);
    const end = table * blockSize + used * inodeSize;
    if (end > source.size) throw badExt4('an inode table past its end', table * blockSize);
    const perRead = Math.floor(READ / inodeSize);
    for (let first = 0; first < used; first += perRead) {
      const count = Math.min(perRead, used - first);
      const bytes = Buffer.alloc(count * inodeSize);
      source.readSync(bytes, table * blockSize + first * inodeSize);
      for (let i = 0; i < count; i++) {
        const number = group * inodesPerGroup + first + i + 1;
        if (number < FIRST_INODE) continue;
        const inode = bytes.subarray(i * inodeSize, (i + 1) * inodeSize);
        const file = regularFile(source, layout, inode, number);
        if (file) yield { path: `inode ${number}`, key: String(number), file };
      }
    }
  }
}

function readLayout(source: Source): Layout {
  if (source.size < SUPERBLOCK + 1024) throw badExt4('no superblock', 0);
  const sb = Buffer.alloc(1024);
  source.readSync(sb, SUPERBLOCK);
  if (sb.readUInt16LE(56) !== MAGIC) throw badExt4('no superblock', SUPERBLOCK);
  const features = sb.readUInt32LE(96);
  if ((features & ~KNOWN) !== 0) throw unsupported(`feature bits 0x${features.toString(16)}`);
  const blockBits = 10 + sb.readUInt32LE(24);
  if (blockBits > 16) throw badExt4(`blocks of 2^${blockBits} bytes`, SUPERBLOCK);
  const inodes = sb.readUInt32LE(0);
  const inodesPerGroup = sb.readUInt32LE(40);
  const inodeSize = sb.readUInt32LE(76) === 0 ? 128 : sb.readUInt16LE(88);
  const wide = (features & BIT_64) !== 0;
  const descriptorSize = wide ? sb.readUInt16LE(254) : 32;
  if (inodes > MAX_INODES || inodesPerGroup === 0) throw badExt4(`${inodes} inodes`, SUPERBLOCK);
  if (inodeSize < 128 || inodeSize > 2 ** blockBits)
    throw badExt4('an invalid inode size', SUPERBLOCK);
  if (descriptorSize < (wide ? 64 : 32)) throw badExt4('an invalid descriptor size', SUPERBLOCK);
  const blocks = sb.readUInt32LE(4) + (wide ? sb.readUInt32LE(336) * 2 ** 32 : 0);
  return { blockSize: 2 ** blockBits, blocks, inodes, inodesPerGroup, inodeSize, descriptorSize };
}

function readGroup(source: Source, layout: Layout, group: number) {
  const { blockSize, descriptorSize, inodesPerGroup, inodes } = layout;
  const at = (blockSize === 1024 ? 2048 : blockSize) + group * descriptorSize;
  if (at + descriptorSize > source.size) throw badExt4('a descriptor past its end', at);
  const descriptor = Buffer.alloc(descriptorSize);
  source.readSync(descriptor, at);
  const wide = descriptorSize >= 64;
  const high = (low: number, up: number, scale: number) => low + (wide ? up * scale : 0);
  const table = high(descriptor.readUInt32LE(8), wide ? descriptor.readUInt32LE(40) : 0, 2 ** 32);
  const unused = high(descriptor.readUInt16LE(28), wide ? descriptor.readUInt16LE(50) : 0, 65536);
  const here = Math.min(inodesPerGroup, inodes - group * inodesPerGroup);
  const uninitialised = (descriptor.readUInt16LE(18) & 1) !== 0;
  return { table, used: uninitialised ? 0 : Math.max(0, here - unused) };
}

function regularFile(
  source: Source,
  { blockSize }: Layout,
  inode: Buffer,
  number: number,
): RootFile | undefined {
  const isFile = (inode.readUInt16LE(0) & S_IFMT) === S_IFREG && inode.readUInt16LE(26) > 0;
  if (!isFile) return undefined;
  const size = inode.readUInt32LE(4) + inode.readUInt32LE(108) * 2 ** 32;
  if (size > MAX_FILE_SIZE) throw badExt4(`a file of ${size} bytes`, number);
  if (size > 0 && (inode.readUInt32LE(32) & EXTENTS) === 0) {
    throw unsupported('files that have no extents');
  }
  const root = inode.subarray(40, 100);
  let extents: readonly Extent[] | undefined;
  return {
    size,
    *pieces(from, to): Generator<Piece> {
      extents ??= readExtents(source, root, blockSize, number);
      const end = Math.min(to, size);
      for (const { logical, physical, length } of extents) {
        if (physical + length > source.size) throw badExt4('data past its end', physical);
        for (let at = 0; at < length; at += UNIT) {
          const start = logical + at;
          const stored = Math.min(UNIT, length - at, size - start);
          if (start >= end || stored <= 0) break;
          if (start + stored <= from) continue;
          const unit = { offset: physical + at, stored, length: stored } as const;
          yield {
            ...{ start, length: stored, unitOffset: 0 },
            unit: { ...unit, exact: true, codec: 'none' },
          };
        }
      }
    },
  };
}

function unsupported(what: string): UnsupportedError {
  return new UnsupportedError(`ext4 with ${what}`, {
    code: 'EXT4_FEATURE',
    hint: 'name a container image of the same release with --container',
  });
}
