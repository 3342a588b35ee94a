/**
 * Entries of an L2 table, u64 big endian: bit 63 "copied" (reference count is one), bit 62
 * "compressed". Standard: bit 0 "reads as zeros", bits 9 to 55 the host offset. Compressed, with
 * x = 62 - (cluster_bits - 8): bits 0 to x-1 the host byte, x to 61 the sectors that it goes on
 * beyond the first.
 */
const COPIED = 1n << 63n;
const COMPRESSED = 1n << 62n;
const OFFSET = 0x00ff_ffff_ffff_fe00n;
const ZERO = 1n;
const SECTOR = 512;

export type L2Entry =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'cluster'; readonly start: number }
  | { readonly kind: 'compressed'; readonly start: number; readonly end: number };

const width = (clusterBits: number) => BigInt(62 - (clusterBits - 8));

export function decodeEntry(entry: bigint, clusterBits: number): L2Entry {
  if ((entry & COMPRESSED) !== 0n) {
    const x = width(clusterBits);
    const start = Number(entry & ((1n << x) - 1n));
    const sectors = Number((entry & (COMPRESSED - 1n)) >> x) + 1;
    return { kind: 'compressed', start, end: start - (start % SECTOR) + sectors * SECTOR };
  }
  if ((entry & ZERO) !== 0n || (entry & OFFSET) === 0n) return { kind: 'nothing' };
  return { kind: 'cluster', start: Number(entry & OFFSET) };
}

export const clusterEntry = (start: number): bigint => COPIED | BigInt(start);

/** Of `length` bytes. */
export function compressedEntry(start: number, length: number, clusterBits: number): bigint {
  const sectors = Math.floor((start + length - 1) / SECTOR) - Math.floor(start / SECTOR);
  return COMPRESSED | (BigInt(sectors) << width(clusterBits)) | BigInt(start);
}

/** Of an L1 entry: where its L2 table is; 0 for none. */
export const tableStart = (entry: bigint): number => Number(entry & OFFSET);
