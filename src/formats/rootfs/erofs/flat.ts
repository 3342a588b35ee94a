import type { Piece } from '../root-files.ts';
import type { ImageReader, Inode } from './inode.ts';
import { badErofs, type Superblock, unsupported } from './superblock.ts';

/** Stored bytes are returned in units of this size. */
const UNIT = 1 << 20;
const CHUNK_BITS = 0x1f;
const CHUNK_INDEXES = 0x20;
const CHUNK_KNOWN = CHUNK_BITS | CHUNK_INDEXES;
const HOLE = 0xffffffff;

/** Pieces of uncompressed data; `start` is where the image lies in the ISO. */
export function* storedPieces(
  image: ImageReader,
  start: number,
  range: { readonly logical: number; readonly length: number; readonly offset: number },
  from: number,
  to: number,
): Generator<Piece> {
  const { logical, length, offset } = range;
  if (offset + length > image.length) throw badErofs('data is out of bounds', offset);
  // Units begin at the start of the data, whichever part is requested, because their offset identifies them.
  const first = Math.max(0, Math.floor((from - logical) / UNIT));
  for (let at = first * UNIT; at < length && logical + at < to; at += UNIT) {
    const stored = Math.min(UNIT, length - at);
    const unit = {
      ...{ offset: start + offset + at, stored, length: stored },
      ...{ exact: true, codec: 'none' as const },
    };
    yield { start: logical + at, length: stored, unit, unitOffset: 0 };
  }
}

/** Data in consecutive blocks; the last part may follow the inode. */
export function* flatPieces(
  image: ImageReader,
  start: number,
  { blockSize }: Superblock,
  { layout, size, field, end }: Inode,
  from: number,
  to: number,
): Generator<Piece> {
  const blocks = Math.ceil(size / blockSize);
  const inline = layout === 'inline' && blocks > 0;
  const length = inline ? (blocks - 1) * blockSize : size;
  if (length > 0) {
    yield* storedPieces(image, start, { logical: 0, length, offset: field * blockSize }, from, to);
  }
  if (!inline) return;
  if ((end % blockSize) + size - length > blockSize) throw badErofs('a tail crosses a block', end);
  yield* storedPieces(
    image,
    start,
    { logical: length, length: size - length, offset: end },
    from,
    to,
  );
}

/** Data in chunks, each anywhere or a hole. */
export function* chunkPieces(
  image: ImageReader,
  start: number,
  { blockSize, blockBits }: Superblock,
  { size, field, end }: Inode,
  from: number,
  to: number,
): Generator<Piece> {
  const format = field & 0xffff;
  if ((format & ~CHUNK_KNOWN) !== 0) throw unsupported(`chunk format 0x${format.toString(16)}`);
  const chunk = 2 ** (blockBits + (format & CHUNK_BITS));
  const entry = (format & CHUNK_INDEXES) === 0 ? 4 : 8;
  const table = Math.ceil(end / entry) * entry;
  const last = Math.min(to, size);
  for (let index = Math.floor(from / chunk); index * chunk < last; index++) {
    const bytes = image.bytes(table + index * entry, entry);
    const block = bytes.readUInt32LE(entry - 4);
    if (block === HOLE) continue;
    if (entry === 8 && bytes.readUInt16LE(2) !== 0) throw unsupported('chunks on other devices');
    const logical = index * chunk;
    const length = Math.min(chunk, size - logical);
    yield* storedPieces(image, start, { logical, length, offset: block * blockSize }, from, to);
  }
}
