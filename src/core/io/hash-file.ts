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
  /** The hasher; in this thread by default. */
  readonly hashing?: Hashing | undefined;
}

/** SHA-256 of a file, in one read that skips holes. */
export async function hashFile(
  path: string,
  options: HashFileOptions = {},
): Promise<{ sha256: Sha256; size: number }> {
  await using source = await openSource(path, options.signal);
  return { sha256: await hashSource(source, options), size: source.size };
}

/** The same for an open source, whose path may no longer exist. */
export async function hashSource(
  source: Source,
  { signal, onBytes, hashing = hashingHere(signal) }: HashSourceOptions = {},
): Promise<Sha256> {
  await hashPieces(source, piecesOf(source), hashing, { signal, onBytes });
  return hashing.digest();
}

/** A data region of a file, or the zeros between two of them. Bytes. */
export type FilePiece =
  | { readonly kind: 'stored'; readonly start: number; readonly length: number }
  | { readonly kind: 'zeros'; readonly length: number };

function* piecesOf(source: Source): Generator<FilePiece> {
  for (let at = 0; at < source.size; ) {
    const { start, end } = source.nextData(at) ?? { start: source.size, end: source.size };
    if (start > at) yield { kind: 'zeros', length: start - at };
    if (end > start) yield { kind: 'stored', start, length: end - start };
    at = end;
  }
}

/** Hashes pieces of a source, one after the other; a thread reads them itself where it can. */
export async function hashPieces(
  source: Source,
  pieces: Iterable<FilePiece>,
  hashing: Hashing,
  { signal, onBytes }: HashFileOptions = {},
): Promise<void> {
  const told = () => onBytes?.(hashing.bytes);
  const file = source.fd === undefined ? undefined : { fd: source.fd, name: source.name };
  const buffers = copyBuffers();
  const sink = { write: hashing.update, zeros: hashing.zeros };
  try {
    for (const piece of pieces) {
      throwIfAborted(signal);
      if (piece.kind === 'zeros') {
        await hashing.zeros(piece.length);
        told();
      } else if (hashing.files && file) {
        const end = piece.start + piece.length;
        for (let at = piece.start; at < end; at += PART) {
          await hashing.files.add(file, at, Math.min(PART, end - at));
          told();
        }
      } else {
        const { start, length } = piece;
        await copyRange(source, start, length, sink, buffers, { signal, onBytes: told });
      }
    }
  } finally {
    // The caller may close the file then.
    await hashing.files?.done();
  }
}

/** Bytes of a file between two reports. */
const PART = 64 << 20;
