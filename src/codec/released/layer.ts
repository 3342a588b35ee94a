import * as v from 'valibot';
import { sizeField } from '../../core/json/fields.ts';
import { type DeflateParams, deflateParamsField } from '../deflate/params.ts';

/**
 * The compression around a released file's target, with all that is needed to compress the target again to the
 * same bytes. Plain JSON, for recipes, which are untrusted. Sizes in bytes.
 */
export type ReleasedLayer = DeflatedLayer | XzLayer;

export type ReleasedKind = ReleasedLayer['kind'];

/** One deflate stream between two literals: a gzip member, or a zip with one file. */
export interface DeflatedLayer {
  readonly kind: 'gz' | 'zip';
  /** The bytes before the stream, in base64. */
  readonly head: string;
  /** The bytes after it. */
  readonly tail: string;
  /** Absent: the zip stores its file. */
  readonly deflater?: DeflateParams | undefined;
}

/**
 * The liblzma states. A name is a promise: their bytes never change. The encoder of 5.2 to 5.8 is one: 5.2.5, 5.4.5,
 * 5.6.4 and 5.8.4 make the same of everything that was tried.
 */
export const LIBLZMA = ['liblzma-5.8.4'] as const;
export type Liblzma = (typeof LIBLZMA)[number];

/** Streams of one encoder, one after the other. */
export interface XzLayer {
  readonly kind: 'xz';
  readonly library: Liblzma;
  /** 0 to 9. */
  readonly preset: number;
  /** `-e`. */
  readonly extreme: boolean;
  /** The type of the check of each block: none (0), CRC32 (1), CRC64 (4) or SHA-256 (10). */
  readonly check: number;
  /** Of the target, after which a block ends; absent: each stream is one block. */
  readonly blockSize?: number | undefined;
  /** Whether the headers of blocks have their sizes, as those that xz makes with threads do. */
  readonly sized: boolean;
  readonly streams: readonly XzStream[];
}

export interface XzStream {
  /** Of its contents. */
  readonly size: number;
  /** How many such streams there are, one after the other; absent: one. */
  readonly times?: number | undefined;
  /** Zeros after each of them; none if absent. */
  readonly padding?: number | undefined;
}

export const XZ_CHECKS = [0, 1, 4, 10] as const;

/** A block is compressed in memory; xz's own have at most 192 MiB. */
export const MAX_XZ_BLOCK = 256 << 20;
/** Of a file, all together: an index has them all. `xz -0` needs as many for 512 GiB. */
export const MAX_XZ_BLOCKS = 1 << 19;
export const MAX_XZ_STREAMS = 4096;
/** Bytes of a file, all together. */
export const MAX_XZ_PADDING = 256 << 10;

const MAX_AROUND = 64 << 10;

const around = v.pipe(
  v.string(),
  v.maxLength(Math.ceil(MAX_AROUND / 3) * 4, 'expected at most 64 KiB'),
  v.regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'expected base64'),
);

const deflatedField = v.pipe(
  v.object({
    kind: v.picklist(['gz', 'zip']),
    head: around,
    tail: around,
    deflater: v.optional(deflateParamsField),
  }),
  v.check(({ deflater }) => !deflater || deflater.format === 'raw', 'expected a raw stream'),
  v.check(({ kind, deflater }) => kind === 'zip' || deflater !== undefined, 'expected a deflater'),
);

const atLeastOne = v.pipe(sizeField, v.minValue(1, 'expected at least 1'));

const xzField = v.pipe(
  v.object({
    kind: v.literal('xz'),
    library: v.picklist(LIBLZMA, 'expected a liblzma that this version carries'),
    preset: v.pipe(
      v.number(),
      v.safeInteger('expected a whole number'),
      v.minValue(0, 'expected 0 to 9'),
      v.maxValue(9, 'expected 0 to 9'),
    ),
    extreme: v.boolean(),
    check: v.picklist(XZ_CHECKS, 'expected a known check'),
    blockSize: v.optional(v.pipe(atLeastOne, v.maxValue(MAX_XZ_BLOCK, 'expected at most 256 MiB'))),
    sized: v.boolean(),
    streams: v.pipe(
      v.array(
        v.object({
          size: sizeField,
          times: v.optional(atLeastOne),
          padding: v.optional(sizeField),
        }),
      ),
      v.minLength(1, 'expected a stream'),
      v.maxLength(MAX_XZ_STREAMS, `expected at most ${MAX_XZ_STREAMS} streams`),
    ),
  }),
  v.check(
    ({ sized, blockSize }) => !sized || blockSize !== undefined,
    'expected the size of the blocks',
  ),
  v.check(
    (layer) => withinBounds(layer),
    'expected as many streams, blocks and zeros as an .xz file may have',
  ),
);

/** Whether a file is as its recogniser lets them pass: a few characters of a recipe can ask for any number. */
function withinBounds({ streams, blockSize }: Pick<XzLayer, 'streams' | 'blockSize'>): boolean {
  const sum = (of: (stream: XzStream) => number) =>
    streams.reduce((all, stream) => all + (stream.times ?? 1) * of(stream), 0);
  return (
    sum(() => 1) <= MAX_XZ_STREAMS &&
    sum(({ padding = 0 }) => padding) <= MAX_XZ_PADDING &&
    streams.every(({ padding = 0 }) => padding % 4 === 0) &&
    Number.isSafeInteger(sum(({ size }) => size)) &&
    sum(({ size }) => (blockSize === undefined ? 1 : Math.ceil(size / blockSize))) <= MAX_XZ_BLOCKS
  );
}

/** For recipes. */
export const releasedLayerField: v.GenericSchema<unknown, ReleasedLayer> = v.variant('kind', [
  deflatedField,
  xzField,
]);

/** The size of the target that a layer is for; undefined if it fits any. */
export function targetSizeOf(layer: ReleasedLayer): number | undefined {
  if (layer.kind !== 'xz') return undefined;
  return layer.streams.reduce((sum, { size, times = 1 }) => sum + size * times, 0);
}

/** The name of the code that a layer needs, like `requires` in a codec's recipe. */
export function requirementOf(layer: ReleasedLayer): string | undefined {
  return layer.kind === 'xz' ? layer.library : layer.deflater?.implementation;
}
