import { copyBuffers, copyRange } from './copy.ts';
import type { Sha256 } from './digest.ts';
import { hashingSink, nullSink } from './sink.ts';
import { openSource } from './source.ts';

export interface HashFileOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes hashed so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/** SHA-256 of a file, in one read that skips holes. */
export async function hashFile(
  path: string,
  { signal, onBytes }: HashFileOptions = {},
): Promise<{ sha256: Sha256; size: number }> {
  await using source = await openSource(path);
  const sink = hashingSink(nullSink(), signal);
  await copyRange(source, 0, source.size, sink, copyBuffers(), {
    signal,
    onBytes: () => onBytes?.(sink.bytes),
  });
  return { sha256: sink.digest(), size: source.size };
}
