import { badOsmet } from './osmet-error.ts';
import type { OsmetPartition } from './osmet-types.ts';

/**
 * The checks of coreos-installer's `validate_osmet` and the assertions of its unpacker: partitions and
 * mappings ascend without overlap, inside each other and inside the disk. Returns the mapped bytes.
 */
export function validateOsmet(
  partitions: readonly OsmetPartition[],
  size: number,
  sectorSize: number,
  base: number,
): number {
  if (size === 0 || size % sectorSize !== 0) {
    throw badOsmet(`disk size ${size} with ${sectorSize}-byte sectors`, base);
  }
  let mapped = 0;
  let diskCursor = 0;
  for (const [index, { start, end, mappings }] of partitions.entries()) {
    if (start < diskCursor || end < start || end > size) {
      throw badOsmet(
        `partition ${index} at ${start}-${end}, after ${diskCursor}, disk ${size}`,
        base,
      );
    }
    diskCursor = end;
    let at = 0;
    for (let i = 0; i < mappings.count; i++) {
      const physical = mappings.physical[i] ?? 0;
      const length = mappings.length[i] ?? 0;
      const logical = mappings.logical[i] ?? 0;
      if (physical < at || physical + length > end - start) {
        throw badOsmet(`mapping ${i} of partition ${index} is out of order or out of bounds`, base);
      }
      if (!Number.isSafeInteger(logical + length)) {
        throw badOsmet(`mapping ${i} of partition ${index} overflows`, base);
      }
      at = physical + length;
      mapped += length;
    }
  }
  return mapped;
}
