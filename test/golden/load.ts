import { readFileSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';

const folder = new URL('.', import.meta.url);

/** A golden file, by its path in this folder; for `.zst` files, by the name of their contents. */
export function golden(path: string): Buffer {
  if (path.endsWith('.osmet')) return readFileSync(new URL(path, folder));
  return zstdDecompressSync(readFileSync(new URL(`${path}.zst`, folder)));
}
