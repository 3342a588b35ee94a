/** Half-open, in bytes. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * `Range: bytes=…` (RFC 9110, 14.2) of a file of `size` bytes. Undefined if the whole file is to be sent,
 * which a server may always do: for no range, several ranges, other units, or a malformed header.
 * `unsatisfiable` is 416.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const match = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/.exec(header ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end };
}
