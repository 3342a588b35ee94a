import { copyBuffers, copyRange } from './copy.ts';
import { hashingHere, type Sha256 } from './digest.ts';
import { hashingSink, nullSink } from './sink.ts';
import { openSource, type Source } from './source.ts';

export interface HashFileOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes hashed so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

/** SHA-256 of a file, in one read that skips holes. */
export async function hashFile(
  path: string,
  options: HashFileOptions = {},
): Promise<{ sha256: Sha256; size: number }> {
  await using source = await openSource(path);
  return { sha256: await hashSource(source, options), size: source.size };
}

/** The same of a source that is open: it may have lost its name meanwhile. */
export async function hashSource(
  source: Source,
  { signal, onBytes }: HashFileOptions = {},
): Promise<Sha256> {
  using sink = hashingSink(nullSink(), hashingHere(signal));
  await copyRange(source, 0, source.size, sink, copyBuffers(), {
    signal,
    onBytes: () => onBytes?.(sink.bytes),
  });
  return sink.digest();
}
