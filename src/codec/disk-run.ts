import type { Sink } from '../io/sink.ts';
import { ZEROS } from '../io/zero.ts';

/** A piece of a raw disk, in order. `bytes` belongs to the receiver until the next piece is asked for. */
export type DiskRun =
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'zeros'; readonly length: number };

/** For consumers that want bytes: zeros come as views of one shared buffer, so cost no memory. */
export async function* runsToBytes(runs: AsyncIterable<DiskRun>): AsyncGenerator<Uint8Array> {
  for await (const run of runs) {
    if (run.kind === 'data') {
      yield run.bytes;
      continue;
    }
    for (let left = run.length; left > 0; left -= ZEROS.length) {
      yield left >= ZEROS.length ? ZEROS : ZEROS.subarray(0, left);
    }
  }
}

export async function runsToSink(runs: AsyncIterable<DiskRun>, sink: Sink): Promise<void> {
  for await (const run of runs) {
    await (run.kind === 'data' ? sink.write(run.bytes) : sink.zeros(run.length));
  }
}
