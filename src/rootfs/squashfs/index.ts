import type { Source } from '../../io/source.ts';
import type { IsoExtent } from '../../iso/live-iso.ts';
import { MAX_FILE_SIZE, type Piece, type RootFile, type RootFiles } from '../root-files.ts';
import { dataUnit, storedSize } from './block.ts';
import { readDirectory } from './directory.ts';
import { fragmentLookup } from './fragments.ts';
import { type FileInode, type Inode, readInode } from './inode.ts';
import { openMetadata } from './metadata.ts';
import {
  badSquashfs,
  decodeSuperblock,
  type InodeRef,
  SUPERBLOCK_SIZE,
  type Superblock,
} from './superblock.ts';

/** Sizes of data blocks are read in groups of this many. */
const SIZES = 1024;
/** 128 GiB in blocks of the usual size. */
const MAX_BLOCKS = 1 << 20;

/**
 * Opens a squashfs in place inside an ISO, for finding where the bytes of its files are.
 *
 * @throws FormatError `SQUASHFS_BAD` (what and where), UnsupportedError `SQUASHFS_*`.
 */
export function openSquashfs(source: Source, extent: IsoExtent): RootFiles {
  const { offset: start, length } = extent;
  const head = Buffer.alloc(Math.min(SUPERBLOCK_SIZE, length));
  source.readSync(head, start);
  const superblock = decodeSuperblock(head, length);
  const metadata = openMetadata(source, start, superblock.codec, superblock.bytesUsed);
  const fragment = fragmentLookup(source, start, superblock, metadata);
  // The folder that was asked for last: the next path is mostly in the same one.
  let folder: { path: string; entries: ReadonlyMap<string, InodeRef> } | undefined;

  function entriesOf(path: string): ReadonlyMap<string, InodeRef> | undefined {
    if (folder?.path === path) return folder.entries;
    const ref = path === '' ? superblock.rootInode : refOf(path);
    const inode = ref && readInode(metadata, superblock, ref);
    if (inode?.kind !== 'directory') return undefined;
    const entries = readDirectory(metadata, superblock, inode);
    folder = { path, entries };
    return entries;
  }

  function refOf(path: string): InodeRef | undefined {
    const slash = path.lastIndexOf('/');
    return entriesOf(path.slice(0, Math.max(slash, 0)))?.get(path.slice(slash + 1));
  }

  function walk(path: string): Inode | undefined {
    const ref = refOf(path);
    return ref && readInode(metadata, superblock, ref);
  }

  return {
    description: `squashfs, ${superblock.codec === 'zlib' ? 'gzip' : superblock.codec}`,
    find(path) {
      const inode = walk(path);
      return inode?.kind === 'file' ? rootFile(superblock, start, inode, fragment) : undefined;
    },
    hasFolder(path) {
      return walk(path)?.kind === 'directory';
    },
  };
}

function rootFile(
  superblock: Superblock,
  start: number,
  inode: FileInode,
  fragmentOf: ReturnType<typeof fragmentLookup>,
): RootFile {
  const { blockSize } = superblock;
  const { size, fragment } = inode;
  if (size > MAX_FILE_SIZE) throw badSquashfs(`a file of ${size} bytes`, inode.start);
  const count = fragment ? Math.floor(size / blockSize) : Math.ceil(size / blockSize);
  if (count > MAX_BLOCKS) throw badSquashfs(`a file of ${count} blocks`, inode.start);
  // Block sizes are a list without index: what was read of it is kept for the next question.
  const sizes: number[] = [];
  const offsets: number[] = [];
  let next = inode.start;

  function reach(index: number): void {
    while (sizes.length <= index) {
      const bytes = inode.blocks.take(4 * Math.min(SIZES, count - sizes.length));
      for (let at = 0; at < bytes.length; at += 4) {
        const field = bytes.readUInt32LE(at);
        sizes.push(field);
        offsets.push(next);
        next += storedSize(field);
      }
    }
  }

  function* pieces(from: number, to: number): Generator<Piece> {
    const end = Math.min(to, size);
    if (from >= end) return;
    for (let index = Math.floor(from / blockSize); index * blockSize < end; index++) {
      const at = index * blockSize;
      const length = Math.min(blockSize, size - at);
      if (index === count) {
        if (!fragment || fragment.offset + length > blockSize) {
          throw badSquashfs('a tail reaches beyond its fragment block', inode.start);
        }
        const unit = fragmentOf(fragment.index);
        yield { start: at, length, unit, unitOffset: fragment.offset };
        return;
      }
      reach(index);
      const unit = dataUnit(superblock, start, offsets[index] ?? 0, sizes[index] ?? 0);
      if (unit === undefined) continue;
      if (unit.codec === 'none' && unit.stored !== length) {
        throw badSquashfs(
          `a block of ${unit.stored} bytes that should have ${length}`,
          inode.start,
        );
      }
      yield { start: at, length, unit: { ...unit, length }, unitOffset: 0 };
    }
  }

  return { size, pieces };
}
