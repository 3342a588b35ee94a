import type { FormatError } from '../../core/errors.ts';
import type { VarintReader } from '../varint.ts';

/** Makes the error for an invalid recipe. */
export type Complaint = (problem: string) => FormatError;

/** More than any real file has (one per run of pieces): bounds what a hostile recipe costs. */
const MAX_SEGMENTS = 1 << 20;

/** Reads a list of segments to its end, each behind the number of its kind. */
export function readSegments<K extends string, S>(
  list: VarintReader,
  kinds: readonly K[],
  bad: Complaint,
  read: (kind: K) => S,
  limit = MAX_SEGMENTS,
): S[] {
  const segments: S[] = [];
  while (!list.done) {
    if (segments.length === limit) throw bad('too many segments');
    const kind = kinds[list.unsigned()];
    if (kind === undefined) throw bad('unknown segment');
    segments.push(read(kind));
  }
  return segments;
}

/** `value` if it is within `[0, limit)`. */
export function below(value: number, limit: number, bad: Complaint): number {
  if (value < 0 || value >= limit) throw bad(`${value} is out of range`);
  return value;
}

/** Pieces `first` to `first + count - 1` of `total`. */
export function readRange(first: number, list: VarintReader, total: number, bad: Complaint) {
  below(first, total, bad);
  const count = list.unsigned();
  below(first + count, total + 1, bad);
  return { first, count };
}
