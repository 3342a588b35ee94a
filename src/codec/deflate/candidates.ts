import { asBuffer } from '../../io/zero.ts';
import { type DeflateStream, deflateStream } from './deflater.ts';
import type { DeflateParams } from './params.ts';

/** Streams that are worth following to the end: neighbouring levels may part late. */
const MAX_SURVIVORS = 3;

/** Of the contents, between two looks: most are found out by their first block. */
const STEP = 128 << 10;

/** The usual levels first; the window is always the whole. */
const USUAL = [6, 9, 1] as const;
const LEVELS = [6, 9, 1, 5, 4, 3, 2, 7, 8] as const;

const COMMON = { format: 'raw', windowBits: 15, strategy: 0 } as const;

/**
 * Groups, the likeliest first: within one, neighbours may agree on all of a sample. Whole images are
 * compressed by gzip, or by what links zlib; nobody is known to do so with zlib-ng.
 */
const GROUPS: readonly (readonly DeflateParams[])[] = [
  LEVELS.map((level) => ({ ...COMMON, implementation: 'gzip', level, memLevel: 9 })),
  USUAL.map((level) => ({ ...COMMON, implementation: 'zlib-1.3.2', level, memLevel: 8 })),
];

/** A deflater that has made the very bytes of a stream up to now. */
export interface Follower {
  readonly params: DeflateParams;
  readonly stream: DeflateStream;
}

/**
 * Deflaters that make `deflated`, the start of a raw stream, out of `raw`, the start of its contents:
 * as far as they give bytes out before the end, which is at least the start of the last block.
 */
export async function findDeflaters(
  raw: Uint8Array,
  deflated: Uint8Array,
): Promise<DeflateParams[]> {
  for (const group of GROUPS) {
    const found: DeflateParams[] = [];
    for (const params of group) {
      if (found.length < MAX_SURVIVORS && (await makes(params, raw, deflated))) found.push(params);
    }
    if (found.length > 0) return found;
  }
  return [];
}

async function makes(params: DeflateParams, raw: Uint8Array, deflated: Uint8Array) {
  const stream = await deflateStream(params);
  let made = 0;
  for (let at = 0; at < raw.length; at += STEP) {
    for (const piece of stream.push(raw.subarray(at, at + STEP))) {
      const wanted = deflated.subarray(made, made + piece.length);
      if (!asBuffer(wanted).equals(piece)) return false;
      made += piece.length;
    }
  }
  return made > 0;
}
