import * as v from 'valibot';
import { sizeField } from '../../core/json/fields.ts';
import { type DeflateParams, deflateParamsList } from '../deflate/params.ts';
import { damagedRecipe, decodeFrame, encodeFrame, type FrameType } from '../recipe-frame.ts';
import { below, readRange, readSegments } from '../segments/parse.ts';
import { type VarintReader, varintReader, varintWriter } from '../varint.ts';
import { checkGeometry, clusterBytes, clusterCount, type Geometry, tableCount } from './header.ts';
import { MAX_ALLOCATED } from './metadata.ts';

/**
 * Everything in a qcow2 besides its raw disk: the segments of the file, front to back. L2 tables are
 * computed from the positions of the clusters; the other tables are small and literal.
 */
export interface Qcow2Recipe extends Geometry {
  /** Bytes of the qcow2. */
  readonly fileSize: number;
  /** Deflate parameters that segments refer to. */
  readonly codecs: readonly DeflateParams[];
  /** In file order. */
  readonly segments: readonly Segment[];
  /** Bytes in the file of each compressed cluster, in file order. */
  readonly lengths: Uint32Array;
  /** Contents of all literal segments, one after the other. */
  readonly literals: Uint8Array;
}

export type Segment =
  /** `length` bytes of `literals`: header, L1, reference counts, padding. */
  | { readonly kind: 'literal'; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number }
  /** An L2 table. */
  | { readonly kind: 'table'; readonly index: number }
  /** Clusters `first` to `first + count - 1` of the disk as they are. */
  | { readonly kind: 'clusters'; readonly first: number; readonly count: number }
  /** The same, deflated with `codecs[codec]`, without gaps. */
  | {
      readonly kind: 'deflated';
      readonly first: number;
      readonly count: number;
      readonly codec: number;
    }
  /** Compressed clusters, kept as they are in `literals`. */
  | { readonly kind: 'literal-deflated'; readonly first: number; readonly count: number };

const KINDS = ['literal', 'zeros', 'table', 'clusters', 'deflated', 'literal-deflated'] as const;

const FRAME = {
  codec: 'qcow2',
  version: 1,
  columns: 4,
  header: v.object({
    fileSize: sizeField,
    clusterBits: sizeField,
    diskSize: sizeField,
    codecs: deflateParamsList,
  }),
} satisfies FrameType<unknown>;

/** Compact, but not compressed: zstd removes the remaining redundancy. The same recipe gives the same bytes. */
export function serializeRecipe(recipe: Qcow2Recipe): Uint8Array {
  const { segments, lengths, literals, ...header } = recipe;
  const list = varintWriter();
  let next = 0;
  for (const segment of segments) {
    list.unsigned(KINDS.indexOf(segment.kind));
    if ('length' in segment) list.unsigned(segment.length);
    else if ('index' in segment) list.unsigned(segment.index);
    else {
      list.signed(segment.first - next);
      list.unsigned(segment.count);
      if (segment.kind === 'deflated') list.unsigned(segment.codec);
      next = segment.first + segment.count;
    }
  }
  // The low bytes are noise; stored separately, the other bytes compress.
  const low = Uint8Array.from(lengths, (length) => length & 0xff);
  const high = varintWriter();
  for (const length of lengths) high.unsigned(length >>> 8);
  return encodeFrame(FRAME, { header, columns: [list.bytes(), low, high.bytes(), literals] });
}

/** Checks all that `computeLayout` does not. Throws FormatError. */
export function parseRecipe(bytes: Uint8Array): Qcow2Recipe {
  const { header, columns } = decodeFrame(FRAME, bytes);
  const [list, low, high, literals] = columns;
  if (!list || !low || !high || !literals) throw new RangeError('four columns were requested');
  checkGeometry(header, 'qcow2 recipe');
  const segments = parseSegments(varintReader(list, 'qcow2 recipe'), header, header.codecs.length);
  const compressed = segments.reduce((sum, segment) => sum + compressedIn(segment), 0);
  if (compressed !== low.length)
    throw bad('the number of lengths differs from the number of clusters');
  const reader = varintReader(high, 'qcow2 recipe');
  const lengths = new Uint32Array(compressed);
  for (let i = 0; i < compressed; i++) {
    const length = reader.unsigned() * 0x100 + (low[i] ?? 0);
    if (length === 0 || length > 2 * clusterBytes(header)) throw bad('impossible length');
    lengths[i] = length;
  }
  if (!reader.done) throw bad('more lengths than clusters');
  return { ...header, segments, lengths, literals };
}

export function compressedIn(segment: Segment): number {
  return segment.kind === 'deflated' || segment.kind === 'literal-deflated' ? segment.count : 0;
}

export const bad = damagedRecipe('qcow2 recipe', 'QCOW2_RECIPE');

function parseSegments(list: VarintReader, geometry: Geometry, codecs: number): Segment[] {
  const clusters = clusterCount(geometry);
  const tables = tableCount(geometry);
  let next = 0;
  let allocated = 0;
  const range = () => {
    const found = readRange(next + list.signed(), list, clusters, bad);
    next = found.first + found.count;
    allocated += found.count;
    if (allocated > MAX_ALLOCATED) throw bad('too many clusters');
    return found;
  };
  return readSegments(list, KINDS, bad, (kind): Segment => {
    switch (kind) {
      case 'literal':
      case 'zeros':
        return { kind, length: list.unsigned() };
      case 'table':
        return { kind, index: below(list.unsigned(), tables, bad) };
      case 'clusters':
      case 'literal-deflated':
        return { kind, ...range() };
      case 'deflated':
        return { kind, ...range(), codec: below(list.unsigned(), codecs, bad) };
    }
  });
}
