import type { Source } from '../../../core/io/source.ts';
import { bytesAt, type Region } from './region.ts';

/**
 * The parts of ext4 that are needed to find the owner of a block: Linux Documentation/filesystems/ext4.
 * Little endian. Nothing is trusted: invalid entries are skipped, and their blocks have no name.
 */
interface Superblock {
  readonly blockSize: number;
  readonly blocks: number;
  readonly inodesPerGroup: number;
  readonly blocksPerGroup: number;
  readonly inodeSize: number;
  readonly descriptorSize: number;
  readonly firstBlock: number;
  readonly groups: number;
}

const SUPERBLOCK_AT = 1024;
const MAGIC = 0xef53;
const INCOMPAT_64BIT = 0x80;
const EXTENTS_FLAG = 0x80000;
const EXTENT_MAGIC = 0xf30a;
const TYPE_MASK = 0xf000;
const TYPE_DIRECTORY = 0x4000;
const ROOT = 2;
const JOURNAL = 8;
/** Far more than a boot file system has. */
const MAX_INODES = 1 << 18;
const MAX_DEPTH = 5;
const MAX_NAMES = 100_000;

interface Owner {
  readonly inode: number;
  readonly start: number;
  readonly end: number;
}

/** Undefined if there is no ext4 at `start`. */
export async function openExt4(
  disk: Source,
  start: number,
  end: number,
): Promise<Region | undefined> {
  const superblock = decodeSuperblock(await bytesAt(disk, start + SUPERBLOCK_AT, 1024));
  if (superblock === undefined) return undefined;
  const { blockSize, groups, descriptorSize, firstBlock } = superblock;
  const descriptorsAt = (firstBlock + 1) * blockSize;
  const table = await bytesAt(disk, start + descriptorsAt, groups * descriptorSize);
  const areas: { name: string; start: number; end: number }[] = [
    { name: 'superblock', start: SUPERBLOCK_AT, end: SUPERBLOCK_AT + 1024 },
    { name: 'boot sectors', start: 0, end: SUPERBLOCK_AT },
    { name: 'group descriptors', start: descriptorsAt, end: descriptorsAt + table.length },
  ];
  const inodeTables: number[] = [];
  for (let group = 0; group < groups; group++) {
    const at = group * descriptorSize;
    const field = (low: number, high: number) =>
      table.readUInt32LE(at + low) +
      (descriptorSize >= 64 ? table.readUInt32LE(at + high) * 2 ** 32 : 0);
    const add = (name: string, block: number, length: number) =>
      areas.push({ name, start: block * blockSize, end: block * blockSize + length });
    add(`block bitmap of group ${group}`, field(0, 32), blockSize);
    add(`inode bitmap of group ${group}`, field(4, 36), blockSize);
    const inodes = field(8, 40);
    inodeTables.push(inodes * blockSize);
    add('inode table', inodes, superblock.inodesPerGroup * superblock.inodeSize);
  }
  const files = await readFiles(disk, start, superblock, inodeTables);
  return {
    start,
    end,
    describe(offset) {
      const at = offset - start;
      const area = areas.find((one) => at >= one.start && at < one.end);
      if (area?.name === 'inode table') {
        const index = inodeTables.findIndex(
          (one) => at >= one && at < one + superblock.inodesPerGroup * superblock.inodeSize,
        );
        const within = Math.floor((at - (inodeTables[index] ?? 0)) / superblock.inodeSize);
        const inode = index * superblock.inodesPerGroup + within + 1;
        return `inode ${inode}: ${files.nameOf(inode)}`;
      }
      if (area) return area.name;
      const owner = files.owners.find((one) => at >= one.start && at < one.end);
      if (owner) return files.nameOf(owner.inode);
      return 'block without a file';
    },
  };
}

function decodeSuperblock(bytes: Buffer): Superblock | undefined {
  if (bytes.readUInt16LE(56) !== MAGIC) return undefined;
  const blockBits = bytes.readUInt32LE(24);
  const blocksPerGroup = bytes.readUInt32LE(32);
  const inodesPerGroup = bytes.readUInt32LE(40);
  const incompat = bytes.readUInt32LE(96);
  const has64 = (incompat & INCOMPAT_64BIT) !== 0;
  const blocks = bytes.readUInt32LE(4) + (has64 ? bytes.readUInt32LE(336) * 2 ** 32 : 0);
  const inodeSize = bytes.readUInt16LE(88) || 128;
  const descriptorSize = has64 ? bytes.readUInt16LE(254) : 32;
  if (blockBits > 6 || blocksPerGroup === 0 || inodesPerGroup === 0) return undefined;
  if (inodeSize < 128 || inodeSize > 4096 || descriptorSize < 32 || descriptorSize > 1024) {
    return undefined;
  }
  const firstBlock = bytes.readUInt32LE(20);
  const groups = Math.ceil((blocks - firstBlock) / blocksPerGroup);
  if (!(groups > 0 && groups <= 1 << 14) || firstBlock > 1) return undefined;
  const blockSize = 1024 << blockBits;
  return {
    ...{ blockSize, blocks, inodesPerGroup, blocksPerGroup, inodeSize, descriptorSize },
    ...{ firstBlock, groups },
  };
}

interface Inode {
  readonly number: number;
  readonly isDirectory: boolean;
  readonly extents: readonly Owner[];
}

async function readFiles(
  disk: Source,
  start: number,
  superblock: Superblock,
  inodeTables: readonly number[],
) {
  const { inodesPerGroup, inodeSize } = superblock;
  const inodes = new Map<number, Inode>();
  for (const [group, at] of inodeTables.entries()) {
    if (inodes.size + inodesPerGroup > MAX_INODES) break;
    const table = await bytesAt(disk, start + at, inodesPerGroup * inodeSize);
    for (let i = 0; i < inodesPerGroup; i++) {
      const bytes = table.subarray(i * inodeSize, (i + 1) * inodeSize);
      const mode = bytes.readUInt16LE(0);
      const number = group * inodesPerGroup + i + 1;
      if (mode === 0 && number !== JOURNAL) continue;
      const flags = bytes.readUInt32LE(32);
      const extents =
        (flags & EXTENTS_FLAG) !== 0
          ? await readExtents(disk, start, superblock, number, bytes.subarray(40, 100), 0)
          : [];
      inodes.set(number, { number, isDirectory: (mode & TYPE_MASK) === TYPE_DIRECTORY, extents });
    }
  }
  const names = await readNames(disk, start, inodes);
  return {
    owners: [...inodes.values()].flatMap(({ extents }) => extents),
    nameOf(inode: number): string {
      if (inode === JOURNAL) return 'journal';
      const name = names.get(inode);
      if (name === undefined) return 'no file';
      return `${inodes.get(inode)?.isDirectory ? 'folder' : 'file'} ${name}`;
    },
  };
}

async function readExtents(
  disk: Source,
  start: number,
  superblock: Superblock,
  inode: number,
  node: Buffer,
  depth: number,
): Promise<Owner[]> {
  if (node.readUInt16LE(0) !== EXTENT_MAGIC || depth > MAX_DEPTH) return [];
  const { blockSize } = superblock;
  const entries = Math.min(node.readUInt16LE(2), Math.floor((node.length - 12) / 12));
  const isLeaf = node.readUInt16LE(6) === 0;
  const found: Owner[] = [];
  for (let i = 0; i < entries; i++) {
    const at = 12 + i * 12;
    if (isLeaf) {
      const length = node.readUInt16LE(at + 4);
      const blocks = length > 32768 ? length - 32768 : length; // larger values mark unwritten extents
      const first = node.readUInt16LE(at + 6) * 2 ** 32 + node.readUInt32LE(at + 8);
      found.push({ inode, start: first * blockSize, end: (first + blocks) * blockSize });
    } else {
      const block = node.readUInt16LE(at + 8) * 2 ** 32 + node.readUInt32LE(at + 4);
      if (block >= superblock.blocks) continue;
      found.push({ inode, start: block * blockSize, end: (block + 1) * blockSize });
      const child = await bytesAt(disk, start + block * blockSize, blockSize);
      found.push(...(await readExtents(disk, start, superblock, inode, child, depth + 1)));
    }
  }
  return found;
}

/** Path of each inode that a folder names. Folders are read as lists; indexed folders are lists too. */
async function readNames(
  disk: Source,
  start: number,
  inodes: ReadonlyMap<number, Inode>,
): Promise<Map<number, string>> {
  const names = new Map<number, string>([[ROOT, '/']]);
  const queue = [ROOT];
  for (let number = queue.pop(); number !== undefined; number = queue.pop()) {
    const parent = names.get(number) ?? '';
    for (const extent of inodes.get(number)?.extents ?? []) {
      const length = Math.min(extent.end - extent.start, 1 << 20);
      const block = await bytesAt(disk, start + extent.start, length);
      for (let at = 0; at + 8 <= block.length && names.size < MAX_NAMES; ) {
        const inode = block.readUInt32LE(at);
        const step = block.readUInt16LE(at + 4);
        const name = block.toString('utf8', at + 8, at + 8 + (block[at + 6] ?? 0));
        if (step < 8) break;
        at += step;
        if (inode === 0 || name === '.' || name === '..' || names.has(inode)) continue;
        names.set(inode, `${parent === '/' ? '' : parent}/${name.replace(/\P{L}/gu, safe)}`);
        if (inodes.get(inode)?.isDirectory) queue.push(inode);
      }
    }
  }
  return names;
}

/** Names reach terminals and reports. */
const safe = (char: string) => (/^[\p{N}\p{P}\p{S} ]$/u.test(char) ? char : '?');
