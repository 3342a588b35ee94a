import * as v from 'valibot';
import { damagedRecipe, decodeFrame, encodeFrame, type FrameType } from '../recipe-frame.ts';
import { readSegments } from '../segments/parse.ts';
import { varintReader, varintWriter } from '../varint.ts';

/** A container that holds its payload unchanged, in one or several pieces, between other bytes. */
export interface SpliceRecipe {
  /** Front to back. */
  readonly segments: readonly Segment[];
  /** Contents of all literal segments, one after the other. */
  readonly literals: Uint8Array;
}

/** `length` in bytes, of the container. */
export interface Segment {
  readonly kind: 'literal' | 'zeros' | 'payload';
  readonly length: number;
}

const KINDS = ['literal', 'zeros', 'payload'] as const;
/** A recipe of one payload has a few dozen. */
const MAX_SEGMENTS = 1 << 16;
const MAX_SIZE = 64 * 2 ** 40;

const FRAME = {
  codec: 'splice',
  version: 1,
  columns: 2,
  header: v.object({}),
} satisfies FrameType<unknown>;

export function serializeSplice({ segments, literals }: SpliceRecipe): Uint8Array {
  const list = varintWriter();
  for (const { kind, length } of segments) {
    list.unsigned(KINDS.indexOf(kind));
    list.unsigned(length);
  }
  return encodeFrame(FRAME, { header: {}, columns: [list.bytes(), literals] });
}

/** Throws FormatError. */
export function parseSplice(bytes: Uint8Array): SpliceRecipe {
  const [list, literals] = decodeFrame(FRAME, bytes).columns;
  if (!list || !literals) throw new RangeError('two columns were requested');
  const reader = varintReader(list, 'splice recipe');
  const read = (kind: Segment['kind']) => ({ kind, length: reader.unsigned() });
  const segments = readSegments(reader, KINDS, bad, read, MAX_SEGMENTS);
  const recipe = { segments, literals };
  if (sizeOf(recipe, 'literal') !== literals.length) throw bad('literals of another length');
  if (!(sizeOf(recipe) <= MAX_SIZE)) throw bad('a container of impossible size');
  return recipe;
}

/** Bytes of the container, or of its parts of one kind. */
export function sizeOf({ segments }: SpliceRecipe, kind?: Segment['kind']): number {
  return segments.reduce(
    (sum, segment) => (kind === undefined || segment.kind === kind ? sum + segment.length : sum),
    0,
  );
}

const bad = damagedRecipe('splice recipe', 'SPLICE_RECIPE');
