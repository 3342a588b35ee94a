import { badErofs } from './superblock.ts';

const ENTRY_SIZE = 12;

/** Adds the names of one block of a directory, and their inode numbers. Names are data. */
export function readDirectoryBlock(
  block: Buffer,
  offset: number,
  entries: Map<string, number>,
): void {
  if (block.length < ENTRY_SIZE) throw badErofs('a directory is too short', offset);
  // The first name begins at the end of the entries.
  const count = block.readUInt16LE(8) / ENTRY_SIZE;
  if (!Number.isInteger(count) || count === 0 || count * ENTRY_SIZE > block.length) {
    throw badErofs('a malformed directory block', offset);
  }
  const nameOffset = (index: number) =>
    index < count ? block.readUInt16LE(index * ENTRY_SIZE + 8) : block.length;
  for (let index = 0; index < count; index++) {
    const from = nameOffset(index);
    const to = nameOffset(index + 1);
    if (from >= to || to > block.length) throw badErofs('names are out of order', offset);
    let name = block.toString('latin1', from, to);
    // The last one may end before its block does.
    if (index === count - 1) name = name.split('\0', 1)[0] ?? '';
    entries.set(name, Number(block.readBigUInt64LE(index * ENTRY_SIZE)));
  }
}
