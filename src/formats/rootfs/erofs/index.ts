import type { Source } from '../../../core/io/source.ts';
import type { IsoExtent } from '../../iso/live-iso.ts';
import { MAX_FILE_SIZE, type Piece, type RootFile, type RootFiles } from '../root-files.ts';
import { unpackUnit } from '../unpack-unit.ts';
import { extentPieces, readExtents } from './compressed.ts';
import { readDirectoryBlock } from './directory.ts';
import { chunkPieces, flatPieces } from './flat.ts';
import { type ImageReader, type Inode, readInode } from './inode.ts';
import {
  badErofs,
  decodeSuperblock,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
  type Superblock,
} from './superblock.ts';

/** Limit of a directory in bytes. */
const MAX_LISTING = 32 << 20;
/** Limit of all directories together in bytes. */
const MAX_LISTINGS = 256 << 20;
/** The same limit as for squashfs. */
const MAX_NAMES = 480_000;
/** Linux' PATH_MAX. */
const MAX_PATH = 4096;

/**
 * Opens an erofs in place inside an ISO, to locate the bytes of its files.
 *
 * Our own reader: no binding to erofs-utils exists, and its library cannot read an image at an offset.
 *
 * @throws FormatError `EROFS_BAD` (what and where), UnsupportedError `EROFS_FEATURE`.
 */
export function openErofs(source: Source, extent: IsoExtent): RootFiles {
  const { offset: start, length } = extent;
  const image: ImageReader = {
    length,
    bytes(offset, wanted) {
      if (!(offset >= 0 && offset + wanted <= length)) throw badErofs('it ends too early', offset);
      const bytes = Buffer.alloc(wanted);
      source.readSync(bytes, start + offset);
      return bytes;
    },
  };
  const superblock = decodeSuperblock(image.bytes(SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE));
  const file = fileReader(image, start, superblock);
  let folder: { path: string; entries: ReadonlyMap<string, number> } | undefined;

  function entriesOf(path: string): ReadonlyMap<string, number> | undefined {
    if (folder?.path === path) return folder.entries;
    const nid = path === '' ? superblock.rootNid : nidOf(path);
    const inode = nid === undefined ? undefined : readInode(image, superblock, nid);
    if (inode?.kind !== 'directory') return undefined;
    const entries = readFolder(inode);
    folder = { path, entries };
    return entries;
  }

  function readFolder(inode: Inode): ReadonlyMap<string, number> {
    if (inode.size > MAX_LISTING)
      throw badErofs(`a directory of ${inode.size} bytes`, inode.offset);
    const listing = Buffer.alloc(inode.size);
    for (const { start: at, length: count, unit, unitOffset } of file(inode).pieces(
      0,
      inode.size,
    )) {
      const stored = Buffer.alloc(unit.stored);
      source.readSync(stored, unit.offset);
      listing.set(unpackUnit(unit, stored).subarray(unitOffset, unitOffset + count), at);
    }
    const entries = new Map<string, number>();
    for (let at = 0; at < listing.length; at += superblock.blockSize) {
      const block = listing.subarray(at, at + superblock.blockSize);
      readDirectoryBlock(block, inode.offset, entries);
    }
    return entries;
  }

  function nidOf(path: string): number | undefined {
    const slash = path.lastIndexOf('/');
    return entriesOf(path.slice(0, Math.max(slash, 0)))?.get(path.slice(slash + 1));
  }

  function walk(path: string): Inode | undefined {
    const nid = nidOf(path);
    return nid === undefined ? undefined : readInode(image, superblock, nid);
  }

  return {
    description: 'erofs',
    find(path) {
      const inode = walk(path);
      return inode?.kind === 'file' ? file(inode) : undefined;
    },
    hasFolder: (path) => walk(path)?.kind === 'directory',
    *list() {
      const pending = [{ path: '', nid: superblock.rootNid }];
      const seen = new Set<number>();
      let names = 0;
      let listings = 0;
      for (let next = pending.pop(); next; next = pending.pop()) {
        const inode = readInode(image, superblock, next.nid);
        if (seen.has(next.nid)) throw badErofs('a directory is its own ancestor', inode.offset);
        seen.add(next.nid);
        listings += inode.size;
        if (listings > MAX_LISTINGS) throw badErofs('more names than any image has', inode.offset);
        for (const [name, nid] of readFolder(inode)) {
          if (name === '.' || name === '..') continue;
          if (++names > MAX_NAMES) throw badErofs('more names than any image has', inode.offset);
          const path = next.path === '' ? name : `${next.path}/${name}`;
          if (path.length > MAX_PATH) throw badErofs('a path that is too long', inode.offset);
          const found = readInode(image, superblock, nid);
          if (found.kind === 'directory') pending.push({ path, nid });
          else if (found.kind === 'file') yield { path, key: String(nid), file: file(found) };
        }
      }
    },
  };
}

function fileReader(image: ImageReader, start: number, superblock: Superblock) {
  let packed: RootFile | undefined;
  const packedFile = (at: number): RootFile => {
    const { packedNid } = superblock;
    if (packedNid === undefined) throw badErofs('a fragment without a packed inode', at);
    packed ??= open(readInode(image, superblock, packedNid), { fragments: false });
    return packed;
  };

  function open(
    inode: Inode,
    { fragments = true }: { readonly fragments?: boolean } = {},
  ): RootFile {
    const { layout, size } = inode;
    if (size > MAX_FILE_SIZE) throw badErofs(`a file of ${size} bytes`, inode.offset);
    if (layout === 'plain' || layout === 'inline') {
      return {
        size,
        pieces: (from, to) => flatPieces(image, start, superblock, inode, from, Math.min(to, size)),
      };
    }
    if (layout === 'chunks') {
      return { size, pieces: (from, to) => chunkPieces(image, start, superblock, inode, from, to) };
    }
    const { extents, interlaced } = readExtents(image, superblock, inode);
    return {
      size,
      *pieces(from, to): Generator<Piece> {
        const end = Math.min(to, size);
        for (let i = firstBehind(extents, from); i < extents.length; i++) {
          const extent = extents[i];
          if (extent === undefined || extent.logical >= end) return;
          const { logical, length, source } = extent;
          if (source.kind !== 'fragment') {
            yield* extentPieces(image, start, superblock, extent, { interlaced });
            continue;
          }
          if (!fragments) throw badErofs('a fragment inside the packed inode', inode.offset);
          const shift = source.offset - logical;
          const holder = packedFile(inode.offset);
          if (logical + length + shift > holder.size) {
            throw badErofs('a fragment is out of bounds', inode.offset);
          }
          const first = Math.max(from, logical);
          for (const piece of holder.pieces(
            first + shift,
            Math.min(end, logical + length) + shift,
          )) {
            yield clip({ ...piece, start: piece.start - shift }, logical, logical + length);
          }
        }
      },
    };
  }
  return open;
}

/** The part of a piece that belongs to the file; the rest belongs to another file. */
function clip({ start, length, unit, unitOffset }: Piece, from: number, to: number): Piece {
  const first = Math.max(start, from);
  const end = Math.min(start + length, to);
  return { start: first, length: end - first, unit, unitOffset: unitOffset + first - start };
}

/** Index of the extent that holds `position`. */
function firstBehind(extents: readonly { readonly logical: number }[], position: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((extents[middle]?.logical ?? 0) <= position) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}
