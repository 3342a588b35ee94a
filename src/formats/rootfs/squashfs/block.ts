import type { Codec } from '../decompress.ts';
import type { Unit } from '../root-files.ts';
import { badSquashfs } from './bad.ts';

/** The layout of an image that is needed to locate blocks. */
export interface Layout {
  readonly codec: Codec;
  /** Bytes. */
  readonly blockSize: number;
  /** Bytes of the image. */
  readonly bytesUsed: number;
  /** Where the image lies in the ISO. */
  readonly start: number;
}

/** Set in a size field if the block is stored uncompressed. */
const AS_IS = 1 << 24;
const SIZE_MASK = AS_IS - 1;
/** Everything above is not defined. */
const FIELD_MASK = AS_IS | SIZE_MASK;

/** Stored size from a size field. */
export const storedSize = (field: number): number => field & SIZE_MASK;

/** The block at `offset` of the image; undefined if its size marks it as all zeros. */
export function dataUnit(
  { codec, blockSize, bytesUsed, start }: Layout,
  offset: number,
  field: number,
): Unit | undefined {
  const stored = storedSize(field);
  if (stored === 0) return undefined;
  if (field & ~FIELD_MASK || stored > blockSize || offset + stored > bytesUsed) {
    throw badSquashfs(`a data block of ${stored} bytes`, offset);
  }
  const asIs = (field & AS_IS) !== 0;
  return {
    offset: start + offset,
    stored,
    length: asIs ? stored : blockSize,
    exact: true,
    codec: asIs ? 'none' : codec,
  };
}
