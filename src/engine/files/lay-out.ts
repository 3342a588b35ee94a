import { open } from 'node:fs/promises';
import { throwIfAborted } from '../../core/errors.ts';
import { copyBuffers, copyRange } from '../../core/io/copy.ts';
import { osError } from '../../core/io/os-error.ts';
import { fileSink } from '../../core/io/sink.ts';
import type { Source } from '../../core/io/source.ts';
import { padded } from './contents.ts';
import type { PooledContent } from './sources/iso.ts';

/** Writes the base: the contents of a pool, one after the other, each padded. */
export async function layOut(
  contents: readonly PooledContent[],
  pool: Source,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw osError(error, 'create', path);
  });
  try {
    const sink = fileSink(handle, path);
    const buffers = copyBuffers();
    for (const { offset, size } of contents) {
      throwIfAborted(signal);
      await copyRange(pool, offset, size, sink, buffers, { signal });
      await sink.zeros(padded(size) - size);
    }
    await sink.finish();
  } finally {
    await handle.close();
  }
}
