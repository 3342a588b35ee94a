import { throwIfAborted } from '../errors.ts';
import { copyBuffers, copyRange } from './copy.ts';
import { type Hashing, hashingHere, type Sha256 } from './digest.ts';
import { openSource, type Source } from './source.ts';

export interface HashFileOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes hashed so far. */
  readonly onBytes?: ((done: number) => void) | undefined;
}

export interface HashSourceOptions extends HashFileOptions {
  /** Does it; in this thread unless given. */
  readonly hashing?: Hashing | undefined;
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
  { signal, onBytes, hashing = hashingHere(signal) }: HashSourceOptions = {},
): Promise<Sha256> {
  const told = () => onBytes?.(hashing.bytes);
  if (hashing.file && source.fd !== undefined) {
    const file = { fd: source.fd, name: source.name };
    for (let at = 0; at < source.size; ) {
      throwIfAborted(signal);
      const { start, end } = source.nextData(at) ?? { start: source.size, end: source.size };
      if (start > at) await hashing.zeros(start - at);
      told();
      // In parts, so that somebody hears of it.
      at = Math.min(end, start + PART);
      if (at > start) await hashing.file(file, start, at - start);
      told();
    }
  } else {
    const { update, zeros } = hashing;
    const sink = { write: update, zeros };
    await copyRange(source, 0, source.size, sink, copyBuffers(), { signal, onBytes: told });
  }
  return hashing.digest();
}

/** Bytes of a file between two reports. */
const PART = 64 << 20;
