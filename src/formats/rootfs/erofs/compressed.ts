import type { Codec } from '../decompress.ts';
import type { Piece } from '../root-files.ts';
import { storedPieces } from './flat.ts';
import type { ImageReader, Inode } from './inode.ts';
import { type Lclusters, readCompactIndex, readFullIndex } from './lclusters.ts';
import { badErofs, type Superblock, unsupported } from './superblock.ts';

/** A range of a compressed file and where its bytes are. */
export interface Extent {
  /** Bytes. */
  readonly logical: number;
  readonly length: number;
  readonly source:
    | { readonly kind: 'plain'; readonly offset: number; readonly stored: number }
    | {
        readonly kind: 'compressed';
        readonly offset: number;
        readonly stored: number;
        readonly codec: Codec;
        readonly partial: boolean;
      }
    /** At this offset of the packed inode. */
    | { readonly kind: 'fragment'; readonly offset: number };
}

const DENSE = 0x01;
const BIG_1 = 0x02;
const BIG_2 = 0x04;
const INLINE = 0x08;
const INTERLACED = 0x10;
const FRAGMENT = 0x20;
const KNOWN = DENSE | BIG_1 | BIG_2 | INLINE | INTERLACED | FRAGMENT;
/** In the byte of cluster bits: the whole file is a fragment. */
const ALL_FRAGMENT = 0x80;
const CODECS: readonly (Codec | undefined)[] = ['lz4', 'microlzma', 'deflate', 'zstd'];
/** Z_EROFS_PCLUSTER_MAX_SIZE and …_DSIZE. */
const MAX_STORED = 1 << 20;
const MAX_LENGTH = 12 << 20;
/** 16 GiB in clusters of the usual size. */
const MAX_LCLUSTERS = 1 << 22;

export interface CompressedFile {
  readonly extents: readonly Extent[];
  readonly interlaced: boolean;
}

/** Reads the index of a compressed file. */
export function readExtents(
  image: ImageReader,
  superblock: Superblock,
  inode: Inode,
): CompressedFile {
  const { size, end, layout } = inode;
  const header = image.bytes(Math.ceil(end / 8) * 8, 8);
  const clusterBits = header.readUInt8(7);
  if ((clusterBits & ALL_FRAGMENT) !== 0) {
    const offset = Number(header.readBigUInt64LE(0) & ((1n << 63n) - 1n));
    const whole: Extent = { logical: 0, length: size, source: { kind: 'fragment', offset } };
    return { extents: [whole], interlaced: false };
  }
  const advise = header.readUInt16LE(4);
  if ((advise & ~KNOWN) !== 0) throw unsupported(`compression advice 0x${advise.toString(16)}`);
  const bits = superblock.blockBits + (clusterBits & 7);
  const count = Math.ceil(size / 2 ** bits);
  if (count > MAX_LCLUSTERS || bits > 16) throw badErofs(`${count} clusters of a file`, end);
  if (count === 0) return { extents: [], interlaced: false };
  const big = (advise & BIG_1) !== 0;
  const index =
    layout === 'full'
      ? readFullIndex(image, inode, count)
      : readCompactIndex(image, inode, count, { bits, dense: (advise & DENSE) !== 0, big });
  const algorithms = header.readUInt8(6);
  const context = { superblock, header, advise, bits, size, algorithms, layout, image, at: end };
  return { extents: extentsOf(index, context), interlaced: (advise & INTERLACED) !== 0 };
}

interface Context {
  readonly superblock: Superblock;
  readonly header: Buffer;
  readonly advise: number;
  /** Of a logical cluster. */
  readonly bits: number;
  readonly size: number;
  readonly algorithms: number;
  readonly layout: Inode['layout'];
  readonly image: ImageReader;
  /** For messages. */
  readonly at: number;
}

function extentsOf({ list, end }: Lclusters, context: Context): Extent[] {
  const { advise, bits, size, header, superblock, at } = context;
  const extents: Extent[] = [];
  const heads = list.flatMap((one, index) => (one.type === 'nonhead' ? [] : [index]));
  if (heads[0] !== 0 || list[0]?.offset !== 0)
    throw badErofs('a file does not start with a head', at);
  for (const [number, index] of heads.entries()) {
    const head = list[index];
    if (head === undefined) continue;
    const next = heads[number + 1];
    const logical = index * 2 ** bits + head.offset;
    const until = next === undefined ? size : next * 2 ** bits + (list[next]?.offset ?? 0);
    const length = until - logical;
    if (head.offset >= 2 ** bits || length < 0) throw badErofs('extents are out of order', at);
    if (length === 0) continue;
    const isTail = next === undefined || until >= size;
    if (isTail && (advise & FRAGMENT) !== 0) {
      const high = context.layout === 'full' ? head.block : 0;
      const offset = header.readUInt32LE(0) + high * 2 ** 32;
      extents.push({ logical, length, source: { kind: 'fragment', offset } });
      break;
    }
    const big = (advise & (head.type === 'head2' ? BIG_2 : BIG_1)) !== 0 && head.type !== 'plain';
    const blocks = big ? list[index + 1]?.blocks : undefined;
    const cluster = blocks === undefined ? 2 ** bits : blocks * superblock.blockSize;
    const inline = isTail && (advise & INLINE) !== 0;
    const offset = inline ? end : head.block * superblock.blockSize;
    const stored = inline ? header.readUInt16LE(2) : cluster;
    if (stored === 0 || stored > MAX_STORED || offset + stored > context.image.length) {
      throw badErofs(`a cluster of ${stored} bytes`, offset);
    }
    if (length > MAX_LENGTH) throw badErofs(`an extent of ${length} bytes`, offset);
    if (head.type === 'plain') {
      if (length > stored) throw badErofs('a plain cluster is too short', offset);
      extents.push({ logical, length, source: { kind: 'plain', offset, stored } });
      continue;
    }
    const algorithm = head.type === 'head1' ? context.algorithms & 15 : context.algorithms >>> 4;
    const codec = CODECS[algorithm];
    if (codec === undefined) throw unsupported(`compression algorithm ${algorithm}`);
    const { partial } = head;
    extents.push({
      logical,
      length,
      source: { kind: 'compressed', offset, stored, codec, partial },
    });
  }
  return extents;
}

/** The pieces of an extent that is not a fragment. */
export function* extentPieces(
  image: ImageReader,
  start: number,
  { blockSize, zeroPadding }: Superblock,
  { logical, length, source }: Extent,
  { interlaced }: Pick<CompressedFile, 'interlaced'>,
): Generator<Piece> {
  if (source.kind === 'fragment') return;
  const { offset, stored } = source;
  if (source.kind === 'compressed') {
    const { codec, partial } = source;
    // Data either ends at the end of its cluster, or begins at its start and ends when it is complete.
    const unit = zeroPadding
      ? { length, exact: !partial, codec, partial, padding: blockSize }
      : { length, exact: !partial, codec, partial: true };
    const where = { offset: start + offset, stored };
    yield { start: logical, length, unit: { ...where, ...unit }, unitOffset: 0 };
    return;
  }
  // Interlaced data starts at its offset in an uncompressed block, and wraps around to the block's start.
  const shift = interlaced ? logical % blockSize : 0;
  const first = Math.min(length, Math.min(blockSize, stored) - shift);
  const whole = { logical, length: Math.max(length, shift + first), offset };
  for (const { unit } of storedPieces(image, start, whole, logical, logical + 1)) {
    yield { start: logical, length: first, unit, unitOffset: shift };
    if (length > first) {
      const unitOffset = interlaced ? 0 : first;
      yield { start: logical + first, length: length - first, unit, unitOffset };
    }
  }
}
