import type { Source } from '../../core/io/source.ts';
import { isZero, ZEROS } from '../../core/io/zero.ts';
import type { BaseIndex } from './base-index.ts';
import { commonSuffix, firstDifference } from './compare.ts';
import type { Emitter } from './emitter.ts';
import { hashBlock, outFactor, roll } from './rolling-hash.ts';

/** Bytes compared at once in a copy run; one pread of the page cache. */
const STRIDE = 1 << 16;
/** A restart at a known displacement must match this many bytes. */
const RESTART = 64;
/** Literals longer than this are emitted in pieces; a match cannot reach back past a piece. */
const MAX_PENDING = 1 << 18;
/** Inside a literal, equal runs at the last displacement shorter than this stay literal. */
const MIN_REFINED = 32;
const INITIAL_WINDOW = 4 << 20;

export interface Matcher {
  /** Feeds the next bytes of the target. The chunk may be reused afterwards. */
  push(chunk: Uint8Array): void;
  /** Like `push` of `length` zeros, but free within a run of zeros and where the base has a hole. */
  zeros(length: number): void;
  finish(): void;
}

/**
 * Finds the target's bytes in the base, in one forward pass with bounded memory.
 *
 * Images of one release differ from their base in place or by moved clusters, so there are three
 * modes: `copy` runs on at a fixed displacement at memcmp speed (nearly all the time), `zero`
 * swallows zero runs, and `search` slides the rolling hash over new data. Matches are extended
 * to the byte in both directions.
 */
export function createMatcher(base: Source, index: BaseIndex, emitter: Emitter): Matcher {
  const { block } = index;
  const factor = outFactor(block);
  const scratch = Buffer.allocUnsafe(STRIDE);

  // The window: target[windowStart, windowStart + filled). All positions below are absolute.
  let window = Buffer.allocUnsafe(INITIAL_WINDOW);
  let windowStart = 0;
  let filled = 0;

  let mode: 'copy' | 'zero' | 'search' = 'search';
  /** Next byte of the target to look at. */
  let at = 0;
  /** Start of the current run: of the copy, the zeros, or the pending literal. */
  let runStart = 0;
  /** Base offset minus target offset, of the current copy or the last one. */
  let displacement = 0;
  /** Rolling hash of target[at, at + block), if `rolling`. */
  let hash = 0;
  let rolling = false;
  /** The target ends with what the window holds. */
  let final = false;

  const end = () => windowStart + filled;
  const slice = (from: number, to: number) => window.subarray(from - windowStart, to - windowStart);

  function push(chunk: Uint8Array): void {
    const keep = Math.min(mode === 'search' ? runStart : at, at);
    if (filled + chunk.length > window.length) {
      const live = end() - keep;
      const target =
        live + chunk.length > window.length
          ? Buffer.allocUnsafe((live + chunk.length) * 2)
          : window;
      window.copy(target, 0, keep - windowStart, filled);
      window = target;
      windowStart = keep;
      filled = live;
    }
    window.set(chunk, filled);
    filled += chunk.length;
    run();
  }

  function zeros(length: number): void {
    for (let left = length; left > 0; ) {
      const skipped = at === end() ? skippable(left) : 0;
      const pushed = skipped > 0 ? 0 : Math.min(left, ZEROS.length);
      if (pushed > 0) push(ZEROS.subarray(0, pushed));
      else [at, windowStart, filled] = [at + skipped, at + skipped, 0];
      left -= skipped + pushed;
    }
  }

  /** How many of `length` zeros continue the current run without being read. */
  function skippable(length: number): number {
    if (mode === 'zero') return length;
    const start = at + displacement;
    if (mode === 'search' || start < 0 || start >= base.size) return 0;
    const hole = (base.nextData(start)?.start ?? base.size) - start;
    return Math.min(length, hole);
  }

  function run(): void {
    while (at < end()) {
      if (mode === 'copy') extendCopy();
      else if (mode === 'zero') extendZeros();
      else if (!search()) return;
    }
  }

  function endRun(): void {
    if (mode === 'copy') emitter.copy(runStart + displacement, at - runStart);
    else if (mode === 'zero') emitter.zeros(at - runStart);
    else emitLiteral(at);
  }

  function begin(next: typeof mode, from: number): void {
    mode = next;
    runStart = from;
    rolling = false;
  }

  /** Length of the match of target[from..] with base[from + shift..], at most `limit`. */
  function agreement(from: number, shift: number, limit: number): number {
    const start = from + shift;
    if (start < 0 || start >= base.size) return 0;
    const length = Math.min(limit, base.size - start, end() - from);
    const data = base.nextData(start);
    const hole = (data === undefined ? base.size : data.start) - start;
    const view = scratch.subarray(0, hole > 0 ? Math.min(length, hole) : length);
    if (hole > 0) {
      if (isZero(window, from - windowStart, from - windowStart + view.length)) return view.length;
      view.fill(0);
    } else {
      base.readSync(view, start);
    }
    return firstDifference(window, from - windowStart, view, view.length);
  }

  function extendCopy(): void {
    const wanted = Math.min(STRIDE, end() - at);
    const same = agreement(at, displacement, wanted);
    at += same;
    if (same > 0) return;
    endRun();
    begin('search', at);
  }

  function extendZeros(): void {
    while (at < end()) {
      const to = Math.min(end(), at + STRIDE);
      if (!isZero(window, at - windowStart, to - windowStart)) {
        while (window[at - windowStart] === 0) at++;
        endRun();
        begin('search', at);
        return;
      }
      at = to;
    }
  }

  /** Returns false if it needs more input. */
  function search(): boolean {
    if (!rolling) {
      if (end() - at < block) {
        if (!final) return false;
        at = end();
        return true;
      }
      if (at === runStart && restart()) return true;
      hash = hashBlock(window, at - windowStart, block);
      rolling = true;
    }
    return scan();
  }

  /** Right after a run: often the same displacement continues, or the same offset. */
  function restart(): boolean {
    if (isZero(window, at - windowStart, at - windowStart + block)) return false;
    for (const shift of displacement === 0 ? [0] : [displacement, 0]) {
      if (agreement(at, shift, RESTART) === RESTART) {
        displacement = shift;
        begin('copy', at);
        return true;
      }
    }
    return false;
  }

  /** Slides the hash over the window until a block matches. */
  function scan(): boolean {
    const origin = windowStart;
    const last = filled - block;
    const bytes = window;
    let i = at - origin;
    let h = hash;
    for (;;) {
      if (h === 0 && isZero(bytes, i, i + block)) {
        at = origin + i;
        endRun();
        begin('zero', at);
        return true;
      }
      const candidate = index.find(h);
      if (candidate >= 0 && matchAt(origin + i, candidate)) return true;
      if (i >= last) break;
      h = roll(h, bytes[i] ?? 0, bytes[i + block] ?? 0, factor);
      i++;
      if (origin + i - runStart >= MAX_PENDING) {
        emitLiteral(origin + i);
        runStart = origin + i;
      }
    }
    at = origin + i;
    hash = h;
    if (!final) return false;
    at = end();
    return true;
  }

  /** Verifies a candidate block for target[from..], then extends it backwards and starts a copy. */
  function matchAt(from: number, candidate: number): boolean {
    const verified = [displacement, 0, candidate - from].find(
      (shift) => agreement(from, shift, block) === block,
    );
    if (verified === undefined) return false;
    let start = from;
    while (start > runStart) {
      const length = Math.min(4096, start - runStart, start + verified);
      if (length <= 0) break;
      const view = scratch.subarray(0, length);
      base.readSync(view, start + verified - length);
      const same = commonSuffix(window, start - windowStart, view, length, length);
      start -= same;
      if (same < length) break;
    }
    emitLiteral(start);
    displacement = verified;
    begin('copy', start);
    at = from + block;
    return true;
  }

  /**
   * Emits target[runStart, to) as literal, but copies from the base where it matches at the last
   * displacement: an edited ext4 block or inode table is mostly unchanged bytes.
   */
  function emitLiteral(to: number): void {
    let literalStart = runStart;
    for (let from = runStart; from < to; ) {
      const length = Math.min(STRIDE, to - from, base.size - (from + displacement));
      if (length <= 0 || from + displacement < 0) break;
      const view = scratch.subarray(0, length);
      base.readSync(view, from + displacement);
      const bytes = window;
      const origin = from - windowStart;
      for (let i = 0; i < length; ) {
        if (bytes[origin + i] !== view[i]) {
          i++;
          continue;
        }
        let n = i + 1;
        while (n < length && bytes[origin + n] === view[n]) n++;
        if (n - i >= MIN_REFINED) {
          emitter.literal(slice(literalStart, from + i));
          emitter.copy(from + i + displacement, n - i);
          literalStart = from + n;
        }
        i = n;
      }
      from += length;
    }
    emitter.literal(slice(literalStart, to));
  }

  return {
    push,
    zeros,
    finish() {
      final = true;
      run();
      endRun();
    },
  };
}
