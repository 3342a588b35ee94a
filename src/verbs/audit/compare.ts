import type { Sink } from '../../core/io/sink.ts';
import type { Range } from '../../core/io/source.ts';
import { asBuffer, zeroChunks } from '../../core/io/zero.ts';

/** How two files differ. Offsets and sizes in bytes. */
export interface Difference {
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** Bytes that differ where both files have bytes, plus the length by which one is longer. */
  readonly bytes: number;
  readonly ourSize: number;
  readonly releasedSize: number;
  /** The first differing ranges, ascending; those closer than {@link GAP} are joined. */
  readonly runs: readonly Range[];
}

/** Differences this close belong together. */
const GAP = 4096;
const MAX_RUNS = 256;
/** Pieces of this size are compared as a whole first, at memcmp speed. */
const PIECE = 4096;

export interface ComparingSink extends Sink {
  /** Reads the reference to its end. Undefined if both are the same. */
  finish(): Promise<Difference | undefined>;
}

/** A sink that compares the bytes it receives with a reference that is read alongside. */
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
      for (const chunk of zeroChunks(length)) await write(chunk);
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
