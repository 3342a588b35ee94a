/** Index of the first difference of `a[at..]` and `b`, or `length` if they are equal there. */
export function firstDifference(a: Buffer, at: number, b: Buffer, length: number): number {
  let low = 0;
  let high = length;
  if (a.compare(b, 0, length, at, at + length) === 0) return length;
  // Halve the range with memcmp, which is much faster than a loop here, then compare byte by byte.
  while (high - low > 64) {
    const middle = (low + high) >>> 1;
    if (a.compare(b, low, middle, at + low, at + middle) === 0) low = middle;
    else high = middle;
  }
  while (low < high && a[at + low] === b[low]) low++;
  return low;
}

/** How many bytes before `a[end]` and before `b[bEnd]` are equal, at most `limit`. */
export function commonSuffix(
  a: Buffer,
  end: number,
  b: Buffer,
  bEnd: number,
  limit: number,
): number {
  let n = 0;
  while (n < limit && a[end - 1 - n] === b[bEnd - 1 - n]) n++;
  return n;
}
