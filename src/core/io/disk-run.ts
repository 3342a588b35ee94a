import { throwIfAborted } from '../errors.ts';
import type { Sink } from './sink.ts';
import type { Source } from './source.ts';
import { zeroChunks } from './zero.ts';

/** A piece of a disk or file, in order. `bytes` belongs to the receiver until it requests the next piece. */
export type DiskRun =
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'zeros'; readonly length: number };

/** Runs as plain bytes: zeros are views of one shared buffer, so they cost no memory. */
export async function* runsToBytes(runs: AsyncIterable<DiskRun>): AsyncGenerator<Uint8Array> {
  for await (const run of runs) {
    if (run.kind === 'data') yield run.bytes;
    else yield* zeroChunks(run.length);
  }
}

export async function* bytesToRuns(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<DiskRun> {
  for await (const bytes of chunks) yield { kind: 'data', bytes };
}

export async function runsToSink(runs: AsyncIterable<DiskRun>, sink: Sink): Promise<void> {
  for await (const run of runs) {
    await (run.kind === 'data' ? sink.write(run.bytes) : sink.zeros(run.length));
  }
}

const CHUNK = 1 << 20;

/** A whole source, front to back; its holes come as zeros. */
export async function* sourceRuns(source: Source, signal?: AbortSignal): AsyncGenerator<DiskRun> {
  const buffer = new Uint8Array(Math.min(CHUNK, source.size));
  for (let at = 0; at < source.size; ) {
    throwIfAborted(signal);
    const data = source.nextData(at);
    const start = Math.min(data?.start ?? source.size, source.size);
    if (start > at) yield { kind: 'zeros', length: start - at };
    at = start;
    const end = Math.min(data?.end ?? source.size, source.size);
    while (at < end) {
      throwIfAborted(signal);
      const bytes = buffer.subarray(0, Math.min(CHUNK, end - at));
      await source.read(bytes, at);
      yield { kind: 'data', bytes };
      at += bytes.length;
    }
  }
}
