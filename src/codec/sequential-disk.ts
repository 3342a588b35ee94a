import { CancelledError, FormatError } from '../core/errors.ts';
import type { Sink } from '../core/io/sink.ts';

/** The interface to a raw disk that an encoder needs. Every Source has it. */
export interface DiskReader {
  /** Fills all of `buffer` from `position`. */
  read(buffer: Uint8Array, position: number): Promise<void>;
}

/**
 * Turns an encoder that reads a disk from start to end into a sink for that disk, so that a delta is
 * encoded into a container without a temporary file. `encode` runs concurrently with the writes; once it
 * has ended, further writes do nothing, or throw its error.
 */
export function sequentialDisk(
  size: number,
  encode: (disk: DiskReader) => Promise<void>,
): Sink & { finish(): Promise<void>; abort(reason: unknown): Promise<void> } {
  /** The read that waits for bytes: at most one, since an encoder reads in order. */
  let wanted: { buffer: Uint8Array; position: number; wake(error?: unknown): void } | undefined;
  /** Wakes the writer that waits for a read. */
  let asked: (() => void) | undefined;
  let written = 0;
  let ended: { readonly error: unknown } | undefined;
  let over = false;

  const disk: DiskReader = {
    read(buffer, position) {
      if (position < written) throw new RangeError('a sequential disk cannot be read backwards');
      return new Promise<void>((resolve, reject) => {
        if (buffer.length === 0) return resolve();
        if (ended) return reject(ended.error);
        wanted = { buffer, position, wake: (error) => (error ? reject(error) : resolve()) };
        asked?.();
      });
    },
  };
  const running = encode(disk).finally(() => {
    over = true;
    asked?.();
  });
  running.catch(() => {}); // thrown by the next write, or by `finish`

  /** Passes `length` bytes on to the reads that want them; `chunk` undefined means zeros. */
  async function pass(chunk: Uint8Array | undefined, length: number): Promise<void> {
    if (ended) throw ended.error;
    const end = written + length;
    while (written < end) {
      if (!over && wanted === undefined) {
        await new Promise<void>((resolve) => {
          asked = resolve;
        });
        asked = undefined;
      }
      if (over) {
        await running;
        written = end;
        return;
      }
      if (wanted === undefined) continue;
      const { buffer, position, wake } = wanted;
      if (position >= end) {
        written = end;
        return;
      }
      const from = Math.max(position, written);
      const to = Math.min(end, position + buffer.length);
      if (chunk) {
        const offset = from - (end - length);
        buffer.set(chunk.subarray(offset, offset + to - from), from - position);
      } else {
        buffer.fill(0, from - position, to - position);
      }
      written = to;
      if (to === position + buffer.length) {
        wanted = undefined;
        wake();
      }
    }
  }

  function end(error: unknown): void {
    ended ??= { error };
    const waiting = wanted;
    wanted = undefined;
    waiting?.wake(ended.error);
  }

  return {
    write: (chunk) => pass(chunk, chunk.length),
    zeros: (length) => pass(undefined, length),
    async finish() {
      const truncated = new FormatError(`the raw disk ends at ${written} of ${size} bytes`, {
        code: 'SHORT_READ',
        context: { size, actual: written },
      });
      end(truncated);
      await running;
      if (written !== size) throw truncated;
    },
    async abort(reason) {
      end(reason ?? new CancelledError('cancelled', { code: 'CANCELLED' }));
      await running.catch(() => {});
    },
  };
}
