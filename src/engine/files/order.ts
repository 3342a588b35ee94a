import { setImmediate as breathe } from 'node:timers/promises';
import { throwIfAborted } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { isZero } from '../../core/io/zero.ts';

/** Contents begin on a multiple of this on a disk: the smallest block of the file systems in use. */
const GRID = 1024;
/** How many bytes must match to choose among several contents that begin alike. */
const AGREEMENT = 64 << 10;
const READ = 1 << 20;

interface Stretch {
  readonly offset: number;
  /** Bytes. */
  readonly size: number;
}

/**
 * The contents that are on a disk, in the order of the disk: a run of files that the file system has placed
 * side by side is then one copy of the delta, and contents that the disk lacks are not required. Searches
 * for the first nonzero block of each; contents without one are left out.
 */
export async function orderOnDisk<T extends Stretch>(
  contents: readonly T[],
  pool: Source,
  disk: Source,
  { signal, onBytes }: { signal?: AbortSignal | undefined; onBytes?: (done: number) => void } = {},
): Promise<T[]> {
  const probes = await probesOf(contents, pool);
  const ordered: T[] = [];
  const found = new Uint8Array(contents.length);
  const buffer = Buffer.allocUnsafe(READ);
  const view = new DataView(buffer.buffer, buffer.byteOffset, READ);
  for (let data = disk.nextData(0); data; data = disk.nextData(data.end)) {
    for (let at = data.start - (data.start % GRID); at < data.end; at += READ) {
      throwIfAborted(signal);
      const length = Math.min(READ, data.end - at, disk.size - at);
      disk.readSync(buffer.subarray(0, length), at);
      buffer.fill(0, length, Math.min(READ, Math.ceil(length / GRID) * GRID));
      for (let i = 0; i < length; i += GRID) {
        const candidates = probes.get(hashBlock(view, i));
        if (candidates === undefined) continue;
        for (const index of chosen(candidates, at + i)) {
          found[index] = 1;
          const content = contents[index];
          if (content) ordered.push(content);
        }
      }
      onBytes?.(at + length);
      await breathe();
    }
  }
  return ordered;

  /** The candidates that match at `position` of the disk; all that may match, if none matches further on. */
  function chosen(candidates: readonly Probe[], position: number): readonly number[] {
    const open = candidates.filter(({ index }) => found[index] === 0);
    const alike = open.filter((probe) => agree(probe, position, GRID));
    const best = alike.find((probe) => agree(probe, position, AGREEMENT));
    return best ? [best.index] : alike.map(({ index }) => index);
  }

  function agree({ index, lead }: Probe, position: number, length: number): boolean {
    const { offset = 0, size = 0 } = contents[index] ?? {};
    const wanted = Math.min(length, size - lead);
    if (position + wanted > disk.size) return false;
    const ours = Buffer.allocUnsafe(wanted);
    const theirs = Buffer.allocUnsafe(wanted);
    pool.readSync(ours, offset + lead);
    disk.readSync(theirs, position);
    return ours.equals(theirs);
  }
}

interface Probe {
  /** Index of the content. */
  readonly index: number;
  /** Offset in it of the block to search for. */
  readonly lead: number;
}

async function probesOf(contents: readonly Stretch[], pool: Source): Promise<Map<number, Probe[]>> {
  const probes = new Map<number, Probe[]>();
  const block = Buffer.alloc(GRID);
  const view = new DataView(block.buffer, block.byteOffset, GRID);
  for (const [index, { offset, size }] of contents.entries()) {
    if (index % 1024 === 0) await breathe();
    for (let lead = 0; lead < size; lead += GRID) {
      const data = pool.nextData(offset + lead);
      if (data === undefined || data.start >= offset + size) break;
      const skipped = Math.floor((data.start - offset) / GRID) * GRID;
      if (skipped > lead) lead = skipped;
      const length = Math.min(GRID, size - lead);
      block.fill(0);
      pool.readSync(block.subarray(0, length), offset + lead);
      if (isZero(block)) continue;
      const hash = hashBlock(view, 0);
      const same = probes.get(hash);
      if (same) same.push({ index, lead });
      else probes.set(hash, [{ index, lead }]);
      break;
    }
  }
  return probes;
}

/**
 * Hashes every fourth word of a block, little endian on every host, so that blocks whose hashes collide are the same
 * everywhere. Matches are then compared byte by byte.
 */
export function hashBlock(view: DataView, start: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = start; at < start + GRID; at += 16) {
    hash = Math.imul(hash ^ view.getInt32(at, true), 0x01000193);
    hash ^= hash >>> 15;
  }
  return hash | 0;
}
