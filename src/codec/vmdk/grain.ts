import type { Deflater } from '../deflate/deflater.ts';
import type { DeflateParams } from '../deflate/params.ts';
import { SECTOR } from './header.ts';

/**
 * A grain in the file: a marker (where it belongs on the disk, u64 sector; length of its data, u32;
 * little endian), the zlib stream, and zeros to the end of the sector.
 */
export const MARKER = 12;

export interface GrainMarker {
  /** Sector of the disk. */
  readonly lba: number;
  /** Bytes of compressed data. */
  readonly size: number;
}

export function decodeMarker(bytes: Uint8Array, at: number): GrainMarker {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, MARKER);
  return { lba: Number(view.getBigUint64(0, true)), size: view.getUint32(8, true) };
}

/** Whole sectors that a grain with `size` bytes of compressed data takes. */
export const grainSpan = (size: number) => Math.ceil((MARKER + size) / SECTOR) * SECTOR;

/** The exact bytes of a grain in the file. */
export function encodeGrain(
  deflater: Deflater,
  params: DeflateParams,
  lba: number,
  raw: Uint8Array,
): Uint8Array {
  const data = deflater.compress(raw, params);
  const bytes = new Uint8Array(grainSpan(data.length));
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(lba), true);
  view.setUint32(8, data.length, true);
  bytes.set(data, MARKER);
  return bytes;
}
