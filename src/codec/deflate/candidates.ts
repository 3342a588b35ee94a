import { asBuffer } from '../../core/io/zero.ts';
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

const RAW = { ...COMMON, memLevel: 8 } as const;

/**
 * Groups, the likeliest first: within one, neighbours may agree on all of a sample. Whole images are
 * compressed by gzip, or by what links zlib; nobody is known to do so with zlib-ng.
 */
const GROUPS: readonly (readonly DeflateParams[])[] = [
  LEVELS.map((level) => ({ ...COMMON, implementation: 'gzip', level, memLevel: 9 })),
  USUAL.map((level) => ({ ...RAW, implementation: 'zlib-1.3.2', level })),
];

/** Of pgzip, and as umoci sets it. */
const BLOCK_SIZES = [1 << 20, 256 << 10] as const;
const KLAUSPOST = ['klauspost-1.17.11', 'klauspost-1.18.6'] as const;

/** What makes layers of containers. klauspost/compress takes level 5 by default, Go's own library 6. */
const GO_GROUPS: readonly (readonly DeflateParams[])[] = [
  ...BLOCK_SIZES.map((blockSize) =>
    KLAUSPOST.map((implementation) => ({ ...RAW, implementation, level: 5, blockSize })),
  ),
  LEVELS.map((level) => ({ ...RAW, implementation: 'go-1.26', level })),
  ...BLOCK_SIZES.map((blockSize) =>
    LEVELS.filter((level) => level !== 5).flatMap((level) =>
      KLAUSPOST.map((implementation) => ({ ...RAW, implementation, level, blockSize })),
    ),
  ),
];

/**
 * How zlib and gzip never end a stream, and Go's deflaters do: with an empty stored block, behind which
 * pgzip has an empty fixed one too.
 */
const GO_ENDS = [Buffer.of(0, 0, 0xff, 0xff), Buffer.of(0, 0, 0xff, 0xff, 3, 0)];
/** As much of the end as tells. */
export const END_BYTES = 6;

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
  /** The last bytes of the stream. */
  readonly end: Uint8Array;
}

/**
 * Deflaters that make `deflated` out of `raw`: of a mere start as far as they give bytes out before the
 * end, which is at least the start of the last block.
 */
export async function findDeflaters(sample: DeflateSample): Promise<DeflateParams[]> {
  const byGo = GO_ENDS.some((end) => asBuffer(sample.end).subarray(-end.length).equals(end));
  for (const group of byGo ? GO_GROUPS : GROUPS) {
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
