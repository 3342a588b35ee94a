import * as v from 'valibot';
import { sizeField } from '../../core/json/fields.ts';
import { type DeflateParams, deflateParamsList } from '../deflate/params.ts';
import { damagedRecipe, decodeFrame, encodeFrame, type FrameType } from '../recipe-frame.ts';
import { below, readRange, readSegments } from '../segments/parse.ts';
import { type VarintReader, varintReader, varintWriter } from '../varint.ts';
import {
  checkGeometry,
  type Geometry,
  grainCount,
  MAX_GRAIN_SECTORS,
  tableCount,
} from './header.ts';

/**
 * Everything in a streamOptimized VMDK besides its raw disk: the segments of the file, front to back.
 * Tables are computed from the positions of the grains, which follow from `sectors`, so a file whose tables
 * come first, as from qemu-img, can still be written in one pass.
 */
export interface VmdkRecipe extends Geometry {
  /** Bytes of the VMDK. */
  readonly fileSize: number;
  /** The last grain is filled up with zeros before it is deflated. */
  readonly paddedTail: boolean;
  /** Deflate parameters that segments refer to. */
  readonly codecs: readonly DeflateParams[];
  /** In file order. */
  readonly segments: readonly Segment[];
  /** Sectors in the file of each grain, in file order. */
  readonly sectors: Uint32Array;
  /** Contents of all literal segments, one after the other. */
  readonly literals: Uint8Array;
}

export type Segment =
  /** `length` bytes of `literals`: header, descriptor, markers, footer, padding. */
  | { readonly kind: 'literal'; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number }
  /** A grain directory: 0 is the primary one, 1 the redundant one. */
  | { readonly kind: 'directory'; readonly copy: number }
  /** `count` consecutive grain tables. */
  | {
      readonly kind: 'tables';
      readonly copy: number;
      readonly first: number;
      readonly count: number;
    }
  /** The same, kept as they are in `literals`: they say more than where grains are. */
  | {
      readonly kind: 'literal-tables';
      readonly copy: number;
      readonly first: number;
      readonly count: number;
    }
  /** Grains `first` to `first + count - 1` of the disk, deflated with `codecs[codec]`. */
  | {
      readonly kind: 'grains';
      readonly first: number;
      readonly count: number;
      readonly codec: number;
    }
  /** The same, kept as they are in `literals`. */
  | { readonly kind: 'literal-grains'; readonly first: number; readonly count: number };

/** Their codes in the first column. */
const KINDS = [
  'literal',
  'zeros',
  'directory',
  'tables',
  'literal-tables',
  'grains',
  'literal-grains',
] as const;

const FRAME = {
  codec: 'vmdk',
  version: 1,
  columns: 3,
  header: v.object({
    fileSize: sizeField,
    capacity: sizeField,
    grainSectors: sizeField,
    gtesPerTable: sizeField,
    paddedTail: v.boolean(),
    codecs: deflateParamsList,
  }),
} satisfies FrameType<unknown>;

/** Compact, but not compressed: zstd removes the remaining redundancy. The same recipe gives the same bytes. */
export function serializeRecipe(recipe: VmdkRecipe): Uint8Array {
  const { segments, sectors, literals, ...header } = recipe;
  const list = varintWriter();
  let nextGrain = 0;
  for (const segment of segments) {
    list.unsigned(KINDS.indexOf(segment.kind));
    switch (segment.kind) {
      case 'literal':
      case 'zeros':
        list.unsigned(segment.length);
        break;
      case 'directory':
        list.unsigned(segment.copy);
        break;
      case 'tables':
      case 'literal-tables':
        list.unsigned(segment.copy);
        list.unsigned(segment.first);
        list.unsigned(segment.count);
        break;
      case 'grains':
      case 'literal-grains':
        list.signed(segment.first - nextGrain);
        list.unsigned(segment.count);
        if (segment.kind === 'grains') list.unsigned(segment.codec);
        nextGrain = segment.first + segment.count;
        break;
    }
  }
  const spans = varintWriter();
  for (const count of sectors) spans.unsigned(count - 1);
  return encodeFrame(FRAME, { header, columns: [list.bytes(), spans.bytes(), literals] });
}

/** Checks everything that `encodeVmdk` relies on. Throws FormatError. */
export function parseRecipe(bytes: Uint8Array): VmdkRecipe {
  const { header, columns } = decodeFrame(FRAME, bytes);
  const [list, spans, literals] = columns;
  if (!list || !spans || !literals) throw new RangeError('three columns were requested');
  checkGeometry(header, 'vmdk recipe');
  const segments = parseSegments(varintReader(list, 'vmdk recipe'), header, header.codecs.length);
  const grains = segments.reduce((sum, s) => sum + grainsIn(s), 0);
  // Each span is at least a byte, so that the arrays are no larger than the recipe.
  if (grains > spans.length) throw bad('fewer grain sizes than grains');
  const reader = varintReader(spans, 'vmdk recipe');
  const sectors = new Uint32Array(grains);
  for (let i = 0; i < grains; i++) {
    const count = reader.unsigned() + 1;
    if (count > 2 * MAX_GRAIN_SECTORS) throw bad('impossible grain size');
    sectors[i] = count;
  }
  if (!reader.done) throw bad('more grain sizes than grains');
  return { ...header, segments, sectors, literals };
}

export function grainsIn(segment: Segment): number {
  return segment.kind === 'grains' || segment.kind === 'literal-grains' ? segment.count : 0;
}

const bad = damagedRecipe('vmdk recipe', 'VMDK_RECIPE');

function parseSegments(list: VarintReader, geometry: Geometry, codecs: number): Segment[] {
  const grains = grainCount(geometry);
  const tables = tableCount(geometry);
  let nextGrain = 0;
  const grainRange = () => {
    const found = readRange(nextGrain + list.signed(), list, grains, bad);
    nextGrain = found.first + found.count;
    return found;
  };
  return readSegments(list, KINDS, bad, (kind): Segment => {
    switch (kind) {
      case 'literal':
      case 'zeros':
        return { kind, length: list.unsigned() };
      case 'directory':
        return { kind, copy: below(list.unsigned(), 2, bad) };
      case 'tables':
      case 'literal-tables': {
        const copy = below(list.unsigned(), 2, bad);
        return { kind, copy, ...readRange(list.unsigned(), list, tables, bad) };
      }
      case 'grains':
        return { kind, ...grainRange(), codec: below(list.unsigned(), codecs, bad) };
      case 'literal-grains':
        return { kind, ...grainRange() };
    }
  });
}
