import * as v from 'valibot';
import { IMPLEMENTATIONS, type Implementation, isGo } from './implementations.ts';

/** How the deflate stream is wrapped: RFC 1950, nothing (RFC 1951), RFC 1952. */
export const FORMATS = ['zlib', 'raw', 'gzip'] as const;
export type DeflateFormat = (typeof FORMATS)[number];

/** Everything besides its input that determines the bytes of a deflate stream. */
export interface DeflateParams {
  readonly implementation: Implementation;
  readonly format: DeflateFormat;
  /** 0 (stored) to 9 (smallest). */
  readonly level: number;
  /** Base-2 logarithm of the window, 9 to 15. */
  readonly windowBits: number;
  /** 1 to 9; 8 is the default of zlib. */
  readonly memLevel: number;
  /** Z_DEFAULT_STRATEGY (0) to Z_FIXED (4). */
  readonly strategy: number;
  /** Bytes of contents after which pgzip or pigz starts again; absent: a stream in one piece. */
  readonly blockSize?: number | undefined;
}

/** The parameters of zlib's `compress()`. */
export const DEFAULT_PARAMS: DeflateParams = {
  implementation: 'zlib-1.3.2',
  format: 'zlib',
  level: 6,
  windowBits: 15,
  memLevel: 8,
  strategy: 0,
};

const within = (min: number, max: number) =>
  v.pipe(
    v.number(),
    v.safeInteger('expected a whole number'),
    v.minValue(min, `expected at least ${min}`),
    v.maxValue(max, `expected at most ${max}`),
  );

/** pgzip's blocks are larger than the window of the next one; no known program uses large ones. */
const MIN_BLOCK = 16_385;
const MAX_BLOCK = 16 << 20;

/** Bytes that pigz carries over from one block to the next; no block is smaller. */
export const PIGZ_DICTIONARY = 32 << 10;

/** For recipes, which are untrusted. */
export const deflateParamsField: v.GenericSchema<unknown, DeflateParams> = v.pipe(
  v.object({
    implementation: v.picklist(IMPLEMENTATIONS, 'expected a deflater that this version carries'),
    format: v.picklist(FORMATS, 'expected zlib, raw or gzip'),
    level: within(0, 9),
    windowBits: within(9, 15),
    memLevel: within(1, 9),
    strategy: within(0, 4),
    blockSize: v.optional(within(MIN_BLOCK, MAX_BLOCK)),
  }),
  v.check(
    ({ implementation, format }) =>
      !(isGo(implementation) || implementation === 'pigz') || format === 'raw',
    'expected a raw stream of pigz or of a deflater in Go',
  ),
  v.check(
    ({ implementation, blockSize }) =>
      implementation === 'pigz'
        ? blockSize !== undefined
        : blockSize === undefined || implementation.startsWith('klauspost-'),
    'expected blocks of pigz and klauspost/compress only',
  ),
  v.check(
    ({ implementation, windowBits, blockSize = 0 }) =>
      implementation !== 'pigz' || (windowBits === 15 && blockSize >= PIGZ_DICTIONARY),
    'expected a window of 15 bits, and blocks no smaller than it, of pigz',
  ),
);

/** The ones that a container's pieces are deflated with. */
export const deflateParamsList = v.pipe(
  v.array(deflateParamsField),
  v.maxLength(16, 'expected at most 16 codecs'),
);

/** The deflaters that a recipe requires. */
export function implementationsOf(codecs: readonly DeflateParams[]): Implementation[] {
  return [...new Set(codecs.map(({ implementation }) => implementation))].sort();
}

/**
 * The arguments of `start` in deflate.c: those of zlib's deflateInit2, whose windowBits carry the format
 * too; or of `start` in pigz.c or go/main.go.
 */
export function startArguments(params: DeflateParams): [number, number, number, number] {
  const { implementation, format, level, windowBits, memLevel, strategy, blockSize = 0 } = params;
  if (isGo(implementation)) {
    // go/main.go makes only raw streams; for anything else it gets an impossible level, which it refuses.
    const possible = format === 'raw' ? level : -1;
    return [possible, implementation === 'go-1.26' ? 0 : 1, blockSize, 0];
  }
  if (implementation === 'pigz') {
    // As above, for anything but a whole window.
    const possible = format === 'raw' && windowBits === 15 ? level : -1;
    return [possible, blockSize, memLevel, strategy];
  }
  const bits = format === 'raw' ? -windowBits : format === 'gzip' ? windowBits + 16 : windowBits;
  return [level, bits, memLevel, strategy];
}
