import type { Source } from '../../../core/io/source.ts';
import { badExt4 } from './bad.ts';

/** A range of a file that is stored in one piece, in bytes. */
export interface Extent {
  readonly logical: number;
  readonly physical: number;
  readonly length: number;
}

/** Linux Documentation/filesystems/ext4/ifork.rst, "Extent Tree". */
const MAGIC = 0xf30a;
const ENTRY = 12;
const MAX_DEPTH = 5;
/** Larger lengths mark unwritten extents: zeros. */
const MAX_WRITTEN = 32768;
/** 16 TiB in extents of the usual size. */
const MAX_EXTENTS = 1 << 17;

/** The extents of a file in order, from the root of their tree in its inode. */
export function readExtents(
  source: Source,
  root: Buffer,
  blockSize: number,
  inode: number,
): Extent[] {
  const extents: Extent[] = [];
  let end = 0;
  let nodes = 0;

  function walk(node: Buffer, depth: number | undefined): void {
    const found = node.readUInt16LE(6);
    const entries = node.readUInt16LE(2);
    const fits = (entries + 1) * ENTRY <= node.length;
    if (node.readUInt16LE(0) !== MAGIC || !fits || found > MAX_DEPTH) {
      throw badExt4('a malformed extent tree', inode);
    }
    if (depth !== undefined && found !== depth) throw badExt4('an inconsistent extent tree', inode);
    if (++nodes > MAX_EXTENTS) throw badExt4('an endless extent tree', inode);
    for (let i = 1; i <= entries; i++) {
      const entry = node.subarray(i * ENTRY, (i + 1) * ENTRY);
      if (found === 0) leaf(entry);
      else {
        const at = (entry.readUInt32LE(4) + entry.readUInt16LE(8) * 2 ** 32) * blockSize;
        if (at + blockSize > source.size) throw badExt4('an extent tree past its end', at);
        const child = Buffer.alloc(blockSize);
        source.readSync(child, at);
        walk(child, found - 1);
      }
    }
  }

  function leaf(entry: Buffer): void {
    const length = entry.readUInt16LE(4);
    if (length > MAX_WRITTEN) return;
    const logical = entry.readUInt32LE(0) * blockSize;
    const physical = (entry.readUInt32LE(8) + entry.readUInt16LE(6) * 2 ** 32) * blockSize;
    if (logical < end) throw badExt4('extents out of order', inode);
    end = logical + length * blockSize;
    extents.push({ logical, physical, length: length * blockSize });
    if (extents.length > MAX_EXTENTS) throw badExt4('an endless extent tree', inode);
  }

  walk(root, undefined);
  return extents;
}
