import type { Complaint } from './parse.ts';

/** A recipe's description of the file as a whole. */
interface Whole {
  readonly fileSize: number;
  readonly literals: Uint8Array;
}

/** Position of the next segment in the file, and of its literals in `literals`, in bytes. */
export interface Cursor {
  at: number;
  literal: number;
}

/** Call after each segment, because a hostile recipe may contain anything. */
export function checkWithin({ at }: Cursor, { fileSize }: Whole, bad: Complaint): void {
  if (!(at <= fileSize)) throw bad('segments outgrow the file');
}

/** Call after the last segment. */
export function checkEnd({ at, literal }: Cursor, whole: Whole, bad: Complaint): void {
  if (at !== whole.fileSize) throw bad(`segments of ${at} bytes for a file of ${whole.fileSize}`);
  if (literal !== whole.literals.length) throw bad('literals of another length');
}

/** The first of `length` ascending numbers that is not below `wanted`. */
export function lowerBound(
  length: number,
  numberAt: (index: number) => number,
  wanted: number,
): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numberAt(middle) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
