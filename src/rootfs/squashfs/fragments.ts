import type { Source } from '../../io/source.ts';
import type { Unit } from '../root-files.ts';
import { dataUnit } from './block.ts';
import type { Metadata } from './metadata.ts';
import { badSquashfs, number64, type Superblock } from './superblock.ts';

const ENTRY_SIZE = 16;
const PER_BLOCK = 512;

/** Looks a fragment block up by its number; it unpacks to `blockSize` bytes or fewer. */
export function fragmentLookup(
  source: Source,
  start: number,
  superblock: Superblock,
  metadata: Metadata,
): (index: number) => Unit {
  const { fragments, fragmentTable, bytesUsed } = superblock;
  // The table is a list of metadata blocks, found by a list of their offsets.
  let pointers: Buffer | undefined;
  const readPointers = (): Buffer => {
    const length = Math.ceil(fragments / PER_BLOCK) * 8;
    if (fragmentTable + length > bytesUsed) {
      throw badSquashfs('the fragment table is cut off', fragmentTable);
    }
    const bytes = Buffer.alloc(length);
    source.readSync(bytes, start + fragmentTable);
    return bytes;
  };
  return (index) => {
    if (index >= fragments) throw badSquashfs(`fragment ${index} of ${fragments}`, fragmentTable);
    pointers ??= readPointers();
    const block = number64(pointers, Math.floor(index / PER_BLOCK) * 8);
    const cursor = metadata.cursor(block, (index % PER_BLOCK) * ENTRY_SIZE, fragmentTable);
    const entry = cursor.take(ENTRY_SIZE);
    const unit = dataUnit(superblock, start, number64(entry, 0), entry.readUInt32LE(8));
    if (unit === undefined) throw badSquashfs(`fragment ${index} is empty`, fragmentTable);
    return { ...unit, length: superblock.blockSize, exact: false };
  };
}
