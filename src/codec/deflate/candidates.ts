import { asBuffer } from '../../core/io/zero.ts';
import type { DeflateStream } from './deflater.ts';
import { LIBRARIES } from './implementations.ts';
import type { DeflateParams } from './params.ts';
import { sharedDeflater } from './shared.ts';

/**
 * Candidates that are followed to the end, because neighbouring levels may diverge late, or never. Those in Go
 * take tens of megabytes each.
 */
const MAX_SURVIVORS = 18;
const MAX_GO_SURVIVORS = 3;

/** Bytes of contents between two comparisons: most candidates fail within their first block. */
const STEP = 128 << 10;

/** The usual levels first; the window is always the whole. */
const LEVELS = [6, 9, 1, 5, 4, 3, 2, 7, 8] as const;

const COMMON = { format: 'raw', windowBits: 15, strategy: 0 } as const;

const RAW = { ...COMMON, memLevel: 8 } as const;

/**
 * Groups, the likeliest first. Whole images are compressed by gzip, or by what links zlib (libarchive, Python,
 * pigz), which is zlib-ng in Fedora 40 and later.
 */
const GROUPS: readonly (readonly DeflateParams[])[] = [
  [
    ...LEVELS.map((level) => ({ ...COMMON, implementation: 'gzip', level, memLevel: 9 }) as const),
    ...LEVELS.map((level) => ({ ...RAW, implementation: 'zlib-1.3.2', level }) as const),
  ],
  LEVELS.map((level) => ({ ...RAW, implementation: 'pigz', level, blockSize: 128 << 10 })),
  LIBRARIES.slice(1).flatMap((implementation) =>
    LEVELS.map((level) => ({ ...RAW, implementation, level })),
  ),
];

/** Of pgzip, and as umoci sets it. */
const BLOCK_SIZES = [1 << 20, 256 << 10] as const;
const KLAUSPOST = ['klauspost-1.17.11', 'klauspost-1.18.6'] as const;

/** Deflaters of container layers. The default level is 5 in klauspost/compress, 6 in Go's own library. */
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
 * An end of a stream that Go's deflaters write, but zlib and gzip never do: an empty stored block, which
 * pgzip follows with an empty fixed one.
 */
const GO_ENDS = [Buffer.of(0, 0, 0xff, 0xff), Buffer.of(0, 0, 0xff, 0xff, 3, 0)];
/** Bytes of the end that decide. */
export const END_BYTES = 6;

/** A deflater whose output has matched a stream so far. */
export interface Follower {
  readonly params: DeflateParams;
  readonly stream: DeflateStream;
}

/** The start of a raw stream. */
export interface DeflateSample {
  /** Of its contents, in pieces. */
  readonly raw: readonly Uint8Array[];
  /** The compressed bytes, at least as many as `raw` comes from. */
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
  const most = byGo ? MAX_GO_SURVIVORS : MAX_SURVIVORS;
  for (const group of byGo ? GO_GROUPS : GROUPS) {
    const found: DeflateParams[] = [];
    for (const params of group) {
      if (found.length < most && (await makes(params, sample))) found.push(params);
    }
    if (found.length > 0) return found;
  }
  return [];
}

async function makes(params: DeflateParams, { raw, deflated, whole }: DeflateSample) {
  const stream = (await sharedDeflater(params.implementation)).stream(params);
  let made = 0;
  for (const piece of deflate(stream, raw, { whole })) {
    const wanted = deflated.subarray(made, made + piece.length);
    if (!asBuffer(wanted).equals(piece)) return false;
    made += piece.length;
  }
  return true;
}

function* deflate(
  stream: DeflateStream,
  raw: readonly Uint8Array[],
  { whole }: Pick<DeflateSample, 'whole'>,
): Generator<Uint8Array> {
  for (const piece of raw) {
    for (let at = 0; at < piece.length; at += STEP) {
      yield* stream.push(piece.subarray(at, at + STEP));
    }
  }
  if (whole) yield* stream.finish();
}
