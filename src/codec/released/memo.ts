import { openUnnamed } from '../../core/io/unnamed.ts';
import type { BlockMemo } from './context.ts';

/** Bytes of the file. */
const MAX_FILE = 16 * 2 ** 30;

/**
 * Opens a memo of compressed blocks: the disks of most platforms share nearly all of theirs. The blocks are in an
 * unnamed file in `folder`. When full or failing, it only stops helping.
 */
export async function openBlockMemo(folder: string): Promise<BlockMemo & AsyncDisposable> {
  const handle = await openUnnamed(folder, 'blocks');
  const entries = new Map<string, { readonly start: number; readonly length: number }>();
  let end = 0;
  return {
    async get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      try {
        const bytes = new Uint8Array(entry.length);
        const { bytesRead } = await handle.read(bytes, 0, entry.length, entry.start);
        return bytesRead === entry.length ? bytes : undefined;
      } catch {
        return undefined;
      }
    },
    async put(key, bytes) {
      const { length } = bytes;
      if (entries.has(key) || end + length > MAX_FILE) return;
      const start = end;
      end += length;
      try {
        const { bytesWritten } = await handle.write(bytes, 0, length, start);
        if (bytesWritten === length) entries.set(key, { start, length });
      } catch {} // no space, for example
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}
