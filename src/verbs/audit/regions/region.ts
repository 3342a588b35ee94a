import type { Source } from '../../../core/io/source.ts';

/** A part of a disk that can describe the offsets in it. */
export interface Region {
  /** Bytes of the disk. */
  readonly start: number;
  readonly end: number;
  /** In words, such as `file /loader/entries/ostree-1.conf`. `offset` counts from the disk's start. */
  describe(offset: number): string;
}

/** A few bytes of a source, zero-padded if it ends earlier. */
export async function bytesAt(source: Source, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const there = Math.max(0, Math.min(length, source.size - position));
  if (position >= 0 && there > 0) await source.read(bytes.subarray(0, there), position);
  return bytes;
}
