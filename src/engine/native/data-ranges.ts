import { seekData } from '../../core/io/libc.ts';

/**
 * Where a file has data within `[from, to)`: start and end of each region, in order. Called in the main
 * thread, because terminating a worker thread that is loading the lseek(2) binding crashes the process.
 */
export function dataRanges(fd: number, from: number, to: number): Float64Array {
  const bounds: number[] = [];
  for (let at = from; at < to; ) {
    const found = seekData(fd, at, to);
    if (found === undefined) break;
    bounds.push(found.start, found.end);
    at = found.end;
  }
  return Float64Array.from(bounds);
}
