import * as v from 'valibot';
import { IMPLEMENTATIONS, type Implementation, isGo } from './implementations.ts';

/** How the deflate stream is wrapped: RFC 1950, nothing (RFC 1951), RFC 1952. */
export const FORMATS = ['zlib', 'raw', 'gzip'] as const;
export type DeflateFormat = (typeof FORMATS)[number];

/** All that the bytes of a deflate stream depend on, besides its input. */
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
  /** Bytes of contents after which klauspost/pgzip starts again; absent: a stream in one piece. */
  readonly blockSize?: number | undefined;
}

/** What zlib's `compress()` uses. */
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

/** pgzip's blocks are larger than what the next one may refer to; nobody is known to use large ones. */
const MIN_BLOCK = 16_385;
const MAX_BLOCK = 16 << 20;

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
    ({ implementation, format }) => !isGo(implementation) || format === 'raw',
    'expected a raw stream of a deflater in Go',
  ),
  v.check(
    ({ implementation, blockSize }) =>
      blockSize === undefined || implementation.startsWith('klauspost-'),
    'expected blocks of klauspost/compress only',
  ),
);

/** The ones that a container's pieces are deflated with. */
export const deflateParamsList = v.pipe(
  v.array(deflateParamsField),
  v.maxLength(16, 'expected at most 16 codecs'),
);

/** The deflaters that a recipe takes. */
export function implementationsOf(codecs: readonly DeflateParams[]): Implementation[] {
  return [...new Set(codecs.map(({ implementation }) => implementation))].sort();
}

/**
 * The arguments of `start` in deflate.c: those of zlib's deflateInit2, whose windowBits carry the format
 * too; or of `start` in go/main.go.
 */
export function startArguments(params: DeflateParams): [number, number, number, number] {
  const { implementation, format, level, windowBits, memLevel, strategy, blockSize = 0 } = params;
  if (isGo(implementation)) {
    // Of what it cannot do, go/main.go knows nothing: an impossible level is refused.
    const possible = format === 'raw' ? level : -1;
    return [possible, implementation === 'go-1.26' ? 0 : 1, blockSize, 0];
  }
  const bits = format === 'raw' ? -windowBits : format === 'gzip' ? windowBits + 16 : windowBits;
  return [level, bits, memLevel, strategy];
}
