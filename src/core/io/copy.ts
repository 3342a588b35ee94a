import { throwIfAborted } from '../errors.ts';
import type { Sink } from './sink.ts';
import type { Source } from './source.ts';

const CHUNK = 1 << 20;

/** Two chunks to alternate between, so that reading ahead overlaps hashing and writing. */
export interface CopyBuffers {
  readonly pair: readonly [Buffer, Buffer];
}

export function copyBuffers(): CopyBuffers {
  return { pair: [Buffer.allocUnsafe(CHUNK), Buffer.allocUnsafe(CHUNK)] };
}

export interface CopyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the length of each piece that was written to the sink. */
  readonly onBytes?: ((length: number) => void) | undefined;
}

/** Copies `source[start, start + length)` to `sink`; holes of the source become `sink.zeros`. */
export async function copyRange(
  source: Source,
  start: number,
  length: number,
  sink: Sink,
  buffers: CopyBuffers,
  options: CopyOptions = {},
): Promise<void> {
  const end = start + length;
  let at = start;
  while (at < end) {
    const data = source.nextData(at);
    const dataStart = data === undefined ? end : Math.min(data.start, end);
    if (dataStart > at) {
      await sink.zeros(dataStart - at);
      options.onBytes?.(dataStart - at);
      at = dataStart;
    }
    if (data === undefined || at >= end) continue;
    const dataEnd = Math.min(data.end, end);
    await copyData(source, at, dataEnd, sink, buffers, options);
    at = dataEnd;
  }
}

async function copyData(
  source: Source,
  start: number,
  end: number,
  sink: Sink,
  { pair }: CopyBuffers,
  { signal, onBytes }: CopyOptions,
): Promise<void> {
  const chunkAt = (position: number, turn: 0 | 1) =>
    pair[turn].subarray(0, Math.min(CHUNK, end - position));
  let turn: 0 | 1 = 0;
  let chunk = chunkAt(start, turn);
  await source.read(chunk, start);
  for (let at = start; at < end; ) {
    throwIfAborted(signal);
    const nextAt = at + chunk.length;
    turn = turn === 0 ? 1 : 0;
    const next = chunkAt(nextAt, turn);
    const ahead = nextAt < end ? source.read(next, nextAt) : undefined;
    // If the sink fails first, the read must not become an unhandled rejection.
    ahead?.catch(() => {});
    await sink.write(chunk);
    onBytes?.(chunk.length);
    await ahead;
    at = nextAt;
    chunk = next;
  }
}
