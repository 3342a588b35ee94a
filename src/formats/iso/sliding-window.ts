import type { Source } from '../../core/io/source.ts';
import { type Cursor, cursor } from './bincode.ts';

const WINDOW = 256 << 10;

/** Sequential decoding of a long range through a bounded buffer. */
export interface SlidingWindow {
  /** A cursor with at least `bytes` ahead of it, or with everything that is left. */
  ensure(bytes: number): Promise<Cursor>;
  /** Offset of the cursor in the source. */
  offset(): number;
}

export function slidingWindow(source: Source, start: number, end: number): SlidingWindow {
  let at = cursor(new Uint8Array(0), start);
  const offset = (): number => at.base + at.position;
  return {
    offset,
    async ensure(bytes) {
      const reached = at.base + at.bytes.length;
      if (at.bytes.length - at.position < bytes && reached < end) {
        const base = offset();
        const window = new Uint8Array(Math.min(Math.max(WINDOW, bytes), end - base));
        await source.read(window, base);
        at = cursor(window, base);
      }
      return at;
    },
  };
}
