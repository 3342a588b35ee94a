import type { DirectoryInode } from './inode.ts';
import type { Metadata } from './metadata.ts';
import { badSquashfs, type InodeRef, type Superblock } from './superblock.ts';

const HEADER_SIZE = 12;
const ENTRY_SIZE = 8;
/** Entries that one header has at most. */
const MAX_RUN = 256;
const MAX_NAME = 256;
/** A quarter of a million objects in one folder; a real repository spreads them over 256. Bytes. */
const MAX_LISTING = 32 << 20;

/** Reads a whole listing. Names are data; the caller compares them only. */
export function readDirectory(
  metadata: Metadata,
  { directoryTable, bytesUsed }: Superblock,
  { block, offset, size }: DirectoryInode,
): Map<string, InodeRef> {
  const entries = new Map<string, InodeRef>();
  const at = directoryTable + block;
  if (size > MAX_LISTING) throw badSquashfs(`a directory of ${size} bytes`, at);
  const cursor = metadata.cursor(at, offset, bytesUsed);
  for (let left = size; left > 0; ) {
    const header = cursor.take(HEADER_SIZE);
    const count = header.readUInt32LE(0) + 1;
    const inodeBlock = header.readUInt32LE(4);
    if (count > MAX_RUN) throw badSquashfs(`a directory header with ${count} entries`, at);
    left -= HEADER_SIZE;
    for (let i = 0; i < count; i++) {
      const entry = cursor.take(ENTRY_SIZE);
      const inodeOffset = entry.readUInt16LE(0);
      const length = entry.readUInt16LE(6) + 1;
      if (length > MAX_NAME) throw badSquashfs(`a name of ${length} bytes`, at);
      const name = cursor.take(length).toString('latin1');
      left -= ENTRY_SIZE + length;
      if (left < 0) throw badSquashfs('a directory is longer than its inode says', at);
      entries.set(name, { block: inodeBlock, offset: inodeOffset });
    }
  }
  return entries;
}
