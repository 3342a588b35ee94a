import { asBuffer } from '../../io/zero.ts';
import type { DeflateStream } from './deflater.ts';
import type { DeflateParams } from './params.ts';
import { sharedDeflater } from './shared.ts';

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

/** The start of a raw stream. */
export interface DeflateSample {
  /** Of its contents. */
  readonly raw: Uint8Array;
  /** Of itself, and no less than what `raw` comes to. */
  readonly deflated: Uint8Array;
  /** Whether that is all of it. */
  readonly whole: boolean;
}

/**
 * Deflaters that make `deflated` out of `raw`: of a mere start as far as they give bytes out before the
 * end, which is at least the start of the last block.
 */
export async function findDeflaters(sample: DeflateSample): Promise<DeflateParams[]> {
  for (const group of GROUPS) {
    const found: DeflateParams[] = [];
    for (const params of group) {
      if (found.length < MAX_SURVIVORS && (await makes(params, sample))) found.push(params);
    }
    if (found.length > 0) return found;
  }
  return [];
}

async function makes(params: DeflateParams, { raw, deflated, whole }: DeflateSample) {
  const stream = (await sharedDeflater(params.implementation)).stream(params);
  let made = 0;
  for (const piece of deflate(stream, raw, whole)) {
    const wanted = deflated.subarray(made, made + piece.length);
    if (!asBuffer(wanted).equals(piece)) return false;
    made += piece.length;
  }
  return made > 0;
}

function* deflate(stream: DeflateStream, raw: Uint8Array, whole: boolean): Generator<Uint8Array> {
  for (let at = 0; at < raw.length; at += STEP) yield* stream.push(raw.subarray(at, at + STEP));
  if (whole) yield* stream.finish();
}
