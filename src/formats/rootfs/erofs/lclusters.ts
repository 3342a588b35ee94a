import type { ImageReader, Inode } from './inode.ts';
import { badErofs } from './superblock.ts';

/** An entry of the index of a compressed file: one logical cluster. */
export interface Lcluster {
  readonly type: 'plain' | 'head1' | 'head2' | 'nonhead';
  /** For a head: offset of its extent in the cluster in bytes. */
  readonly offset: number;
  /** For a head: the block of its compressed data. */
  readonly block: number;
  /** For the first cluster after a head: size of the compressed data in blocks, if recorded. */
  readonly blocks: number | undefined;
  /** Only a part of the unpacked data belongs to the extent. */
  readonly partial: boolean;
}

const TYPES = ['plain', 'head1', 'nonhead', 'head2'] as const;
const PARTIAL = 0x8000;
const BLOCK_COUNT = 0x800;
/** Bits that a block count needs at least. */
const MIN_LOW_BITS = 12;
const FULL_SIZE = 8;

export interface Lclusters {
  readonly list: readonly Lcluster[];
  /** Offset after the index in the image. */
  readonly end: number;
}

/** Indexes of eight bytes each. */
export function readFullIndex(image: ImageReader, { end }: Inode, count: number): Lclusters {
  // After the header there is space for one more.
  const table = align(end, 8) + 16;
  const bytes = image.bytes(table, count * FULL_SIZE);
  const list = Array.from({ length: count }, (_, index): Lcluster => {
    const at = index * FULL_SIZE;
    const advise = bytes.readUInt16LE(at);
    const type = TYPES[advise & 3] ?? 'plain';
    const delta = bytes.readUInt16LE(at + 4);
    const nonhead = type === 'nonhead';
    return {
      type,
      offset: nonhead ? 0 : bytes.readUInt16LE(at + 2),
      block: nonhead ? 0 : bytes.readUInt32LE(at + 4),
      blocks: nonhead && (delta & BLOCK_COUNT) !== 0 ? delta & ~BLOCK_COUNT : undefined,
      partial: !nonhead && (advise & PARTIAL) !== 0,
    };
  });
  return { list, end: table + count * FULL_SIZE };
}

/**
 * Packs of indexes: first ones of two up to the next 32 bytes, then ones of sixteen if `dense`, then
 * ones of two again. Each pack ends with a block address, from which those of its heads are counted.
 */
export function readCompactIndex(
  image: ImageReader,
  { end }: Inode,
  count: number,
  { bits, dense, big }: { readonly bits: number; readonly dense: boolean; readonly big: boolean },
): Lclusters {
  const table = align(end, 8) + 8;
  const initial = Math.min(count, ((32 - (table % 32)) / 4) % 8);
  const sixteens = dense ? Math.floor((count - initial) / 16) * 16 : 0;
  const list: Lcluster[] = [];
  const lowBits = Math.max(bits, MIN_LOW_BITS);
  let at = table;
  const packs = (entries: number, size: number, wanted: number) => {
    for (let done = 0; done < wanted; done += entries) {
      list.push(...readPack(image.bytes(at, size), { entries, lowBits, big, offset: at }));
      at += size;
    }
  };
  packs(2, 8, initial);
  packs(16, 32, sixteens);
  packs(2, 8, count - initial - sixteens);
  list.length = Math.min(list.length, count); // the last pack may have one too many
  return { list, end: at };
}

interface Pack {
  readonly entries: number;
  readonly lowBits: number;
  readonly big: boolean;
  /** Where it lies in the image. */
  readonly offset: number;
}

function readPack(pack: Buffer, { entries, lowBits, big, offset }: Pack): Lcluster[] {
  const list: Lcluster[] = [];
  const bits = ((pack.length - 4) * 8) / entries;
  const base = pack.readUInt32LE(pack.length - 4);
  // Blocks of the pack's clusters before the next head.
  let blocks = big ? 0 : 1;
  let afterHead = false;
  for (let i = 0; i < entries; i++) {
    const position = i * bits;
    const word = readBits(pack, position, bits);
    const low = word & ((1 << lowBits) - 1);
    const type = TYPES[(word >>> lowBits) & 3] ?? 'plain';
    if (type !== 'nonhead') {
      list.push({ type, offset: low, block: base + blocks, blocks: undefined, partial: false });
      blocks++;
      afterHead = true;
      continue;
    }
    const counted = (low & BLOCK_COUNT) !== 0;
    const own = counted ? low & ~BLOCK_COUNT : undefined;
    if (own !== undefined) {
      if (!big) throw badErofs('an unexpected block count', offset);
      blocks += own - (afterHead ? 1 : 0);
    }
    list.push({ type, offset: 0, block: 0, blocks: own, partial: false });
    afterHead = false;
  }
  return list;
}

/** Up to 16 bits, the low ones first. */
function readBits(bytes: Buffer, position: number, count: number): number {
  const at = position >>> 3;
  const three = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  return (three >>> (position & 7)) & ((1 << count) - 1);
}

const align = (value: number, to: number) => Math.ceil(value / to) * to;
