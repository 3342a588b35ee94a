import type { Sink } from '../../core/io/sink.ts';
import type { Range } from '../../core/io/source.ts';
import { asBuffer, ZEROS } from '../../core/io/zero.ts';

/** How two files differ. Offsets and sizes in bytes. */
export interface Difference {
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Bytes that differ where both files have some, plus what the longer one has more. */
  readonly bytes: number;
  readonly ourSize: number;
  readonly releasedSize: number;
  /** Where they differ, ascending; neighbours closer than {@link GAP} are one. Only the first ones. */
  readonly runs: readonly Range[];
}

/** Differences this close belong together. */
const GAP = 4096;
const MAX_RUNS = 256;
/** Equal pieces of this size are passed over at memcmp speed. */
const PIECE = 4096;

export interface ComparingSink extends Sink {
  /** Reads the reference to its end. Undefined if both are the same. */
  finish(): Promise<Difference | undefined>;
}

/** A sink that holds what it is given against a reference that is read alongside. */
export function comparingSink(
  reference: AsyncIterator<Uint8Array>,
  signal?: AbortSignal,
): ComparingSink {
  let chunk: Buffer = Buffer.alloc(0);
  let used = 0;
  let ended = false;
  let position = 0;
  let releasedSize = 0;
  let bytes = 0;
  const runs: { start: number; end: number }[] = [];
  let first: number | undefined;
  let last = 0;

  async function more(): Promise<boolean> {
    while (used === chunk.length && !ended) {
      signal?.throwIfAborted();
      const next = await reference.next();
      ended = next.done === true;
      chunk = next.done ? Buffer.alloc(0) : asBuffer(next.value);
      releasedSize += chunk.length;
      used = 0;
    }
    return used < chunk.length;
  }
  function differ(start: number, end: number, count: number): void {
    bytes += count;
    first ??= start;
    last = end - 1;
    const run = runs.at(-1);
    if (run && start - run.end < GAP) run.end = end;
    else if (runs.length < MAX_RUNS) runs.push({ start, end });
  }
  function comparePiece(ours: Buffer, at: number, length: number): void {
    if (ours.compare(chunk, used, used + length, at, at + length) === 0) return;
    for (let i = 0; i < length; i++) {
      if (ours[at + i] !== chunk[used + i]) differ(position + i, position + i + 1, 1);
    }
  }
  async function write(data: Uint8Array): Promise<void> {
    const ours = asBuffer(data);
    for (let at = 0; at < ours.length; ) {
      if (!(await more())) {
        differ(position, position + ours.length - at, ours.length - at);
        position += ours.length - at;
        return;
      }
      const length = Math.min(PIECE, ours.length - at, chunk.length - used);
      comparePiece(ours, at, length);
      at += length;
      used += length;
      position += length;
    }
  }
  return {
    write,
    async zeros(length) {
      for (let left = length; left > 0; left -= ZEROS.length) {
        await write(left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left));
      }
    },
    async finish() {
      const ourSize = position;
      while (await more()) {
        const length = chunk.length - used;
        differ(position, position + length, length);
        position += length;
        used = chunk.length;
      }
      if (first === undefined) return undefined;
      return { firstOffset: first, lastOffset: last, bytes, ourSize, releasedSize, runs };
    },
  };
}
