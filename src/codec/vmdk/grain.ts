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

/** No deflater makes more of a grain (at worst, nine bits per byte): a longer one is damaged. */
export const maxGrainSpan = (grainBytes: number) =>
  grainSpan(grainBytes + (grainBytes >> 2) + SECTOR);

/** Whole sectors that a grain with `size` bytes of compressed data takes. */
export const grainSpan = (size: number) => Math.ceil((MARKER + size) / SECTOR) * SECTOR;

/** Writes a grain at the start of `target`; returns its span. */
export function encodeGrain(
  deflater: Deflater,
  params: DeflateParams,
  lba: number,
  raw: Uint8Array,
  target: Uint8Array,
): number {
  const data = deflater.compress(raw, params);
  const span = grainSpan(data.length);
  const view = new DataView(target.buffer, target.byteOffset, MARKER);
  view.setBigUint64(0, BigInt(lba), true);
  view.setUint32(8, data.length, true);
  target.set(data, MARKER);
  target.fill(0, MARKER + data.length, span);
  return span;
}
