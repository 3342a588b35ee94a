import type { Sha256 } from '../../core/io/digest.ts';
import type { RunOptions } from './sources/source.ts';
import { startReaders } from './workers/crew.ts';

/** Contents that a thread hashes in one go, bytes. */
const BATCH = 16 << 20;

interface Stretch {
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/** The SHA-256 of each stretch of a file, in threads. */
export async function hashAll(
  file: string,
  stretches: readonly Stretch[],
  { threads, signal }: RunOptions,
): Promise<Sha256[]> {
  await using readers = startReaders({ threads, signal });
  const batches: Stretch[][] = [];
  let room = 0;
  for (const stretch of stretches) {
    if (room <= 0) {
      batches.push([]);
      room = BATCH;
    }
    batches.at(-1)?.push(stretch);
    room -= Math.max(stretch.size, 4096);
  }
  const replies = await Promise.all(
    batches.map((batch) =>
      readers.run({
        kind: 'hash',
        file,
        offsets: Float64Array.from(batch, ({ offset }) => offset),
        sizes: Float64Array.from(batch, ({ size }) => size),
      }),
    ),
  );
  return replies.flatMap(({ digests = new Uint8Array() }) => {
    const bytes = Buffer.from(digests);
    return Array.from(
      { length: bytes.length / 32 },
      (_, index) => bytes.toString('hex', 32 * index, 32 * index + 32) as Sha256,
    );
  });
}
