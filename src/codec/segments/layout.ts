import type { Complaint } from './parse.ts';

/** What a recipe says of the file as a whole. */
interface Whole {
  readonly fileSize: number;
  readonly literals: Uint8Array;
}

/** Where the next segment comes to lie in the file, and its literals in `literals`. In bytes. */
export interface Cursor {
  at: number;
  literal: number;
}

/** To be asked behind each segment: a hostile one may say anything. */
export function checkWithin({ at }: Cursor, { fileSize }: Whole, bad: Complaint): void {
  if (!(at <= fileSize)) throw bad('segments outgrow the file');
}

/** To be asked behind the last. */
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
