import type { Metadata, MetadataCursor } from './metadata.ts';
import { badSquashfs, type InodeRef, number64, type Superblock } from './superblock.ts';

export interface DirectoryInode {
  readonly kind: 'directory';
  /** Offset of its first metadata block in the directory table, and offset in it. */
  readonly block: number;
  readonly offset: number;
  /** Bytes of its listing. */
  readonly size: number;
}

export interface FileInode {
  readonly kind: 'file';
  /** Offset of its first data block in the image. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** Where its tail lies; undefined if the tail is a block of its own. */
  readonly fragment: { readonly index: number; readonly offset: number } | undefined;
  /** Gives the sizes of its data blocks, one after the other. */
  readonly blocks: MetadataCursor;
}

export type Inode = DirectoryInode | FileInode | { readonly kind: 'other' };

const BASIC_DIRECTORY = 1;
const BASIC_FILE = 2;
const EXTENDED_DIRECTORY = 8;
const EXTENDED_FILE = 9;
const MAX_TYPE = 14;
/** Type, mode, owner, group, time, number. */
const HEADER_SIZE = 16;
const NO_FRAGMENT = 0xffffffff;
/** A listing counts three bytes more than it has, for `.` and `..`. */
const DOTS = 3;

export function readInode(
  metadata: Metadata,
  { inodeTable, directoryTable, bytesUsed }: Superblock,
  { block, offset }: InodeRef,
): Inode {
  const at = inodeTable + block;
  const cursor = metadata.cursor(at, offset, directoryTable);
  const type = cursor.take(HEADER_SIZE).readUInt16LE(0);
  switch (type) {
    case BASIC_DIRECTORY: {
      const bytes = cursor.take(16);
      const size = bytes.readUInt16LE(8);
      return directory(bytes.readUInt32LE(0), bytes.readUInt16LE(10), size, at);
    }
    case EXTENDED_DIRECTORY: {
      const bytes = cursor.take(24);
      const size = bytes.readUInt32LE(4);
      return directory(bytes.readUInt32LE(8), bytes.readUInt16LE(18), size, at);
    }
    case BASIC_FILE: {
      const bytes = cursor.take(16);
      return file(bytes.readUInt32LE(0), bytes.readUInt32LE(12), bytes.subarray(4, 12));
    }
    case EXTENDED_FILE: {
      const bytes = cursor.take(40);
      return file(number64(bytes, 0), number64(bytes, 8), bytes.subarray(28, 36));
    }
  }
  if (type === 0 || type > MAX_TYPE) throw badSquashfs(`inode type ${type}`, at);
  return { kind: 'other' };

  function file(start: number, size: number, tail: Buffer): FileInode {
    if (start > bytesUsed) throw badSquashfs(`a file starts at ${start}`, at);
    const index = tail.readUInt32LE(0);
    const fragment = index === NO_FRAGMENT ? undefined : { index, offset: tail.readUInt32LE(4) };
    return { kind: 'file', start, size, fragment, blocks: cursor };
  }
}

function directory(block: number, offset: number, size: number, at: number): DirectoryInode {
  if (size < DOTS) throw badSquashfs(`a directory of ${size} bytes`, at);
  return { kind: 'directory', block, offset, size: size - DOTS };
}
