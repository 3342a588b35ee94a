import { truncate } from 'node:fs/promises';
import type { ListedFile } from '../../../formats/rootfs/root-files.ts';
import { lookupIn, padded } from '../contents.ts';
import { copyWithin } from '../copy-within.ts';
import { hashAll } from '../hash-all.ts';
import { type PlacedFile, unpackFiles } from '../unpack-files.ts';
import { EMPTY, FILLED } from '../workers/messages.ts';
import type { RunOptions, Target } from './source.ts';

/**
 * Fills a base from the files of a root image, whose blocks come in an order that completes files only at
 * the end. Each file is unpacked to the place of a content with its size, which is usually the only one; if
 * no such place is left, behind the base. Then the files are hashed in place, and the few misplaced ones
 * are moved.
 */
export async function placeBySize(
  files: readonly ListedFile[],
  image: string,
  { base, list, states }: Target,
  options: RunOptions,
): Promise<void> {
  const state = new Int32Array(states);
  const places = new Map<number, number[]>();
  for (let index = list.count - 1; index >= 0; index--) {
    if (state[index] !== EMPTY) continue;
    const size = list.sizes[index] ?? 0;
    const same = places.get(size);
    if (same) same.push(index);
    else places.set(size, [index]);
  }
  let end = list.baseSize;
  const placed: (PlacedFile & { readonly index: number | undefined })[] = [];
  for (const { path, file } of files) {
    const same = places.get(file.size);
    if (same === undefined) continue;
    const index = same.pop();
    const offset = index === undefined ? end : (list.offsets[index] ?? 0);
    if (index === undefined) end += padded(file.size);
    placed.push({ path, file, offset, index });
  }
  await truncate(base, end);
  await unpackFiles(placed, { ...options, image, output: base });
  const sizes = placed.map(({ offset, file }) => ({ offset, size: file.size }));
  const digests = await hashAll(base, sizes, options);

  const lookup = lookupIn(list);
  /** The places of contents that are not where they belong. */
  const misplaced = new Map<number, PlacedFile>();
  const wrong: PlacedFile[] = [];
  for (const [i, one] of placed.entries()) {
    const found = lookup.find(digests[i] ?? '', one.file.size);
    if (found >= 0 && found === one.index) {
      state[found] = FILLED;
      continue;
    }
    if (found >= 0 && state[found] === EMPTY) misplaced.set(found, one);
    if (one.index !== undefined) wrong.push(one);
  }
  await using copier = await copyWithin(base);
  // Move misplaced contents out of the way first, because their place may be another one's.
  const needed = new Set(misplaced.values());
  const moved = new Map<PlacedFile, number>();
  for (const one of wrong) {
    if (!needed.has(one)) continue;
    await copier.copy(one.offset, end, one.file.size);
    moved.set(one, end);
    end += padded(one.file.size);
  }
  for (const one of wrong) await copier.clear(one.offset, one.file.size);
  for (const [index, one] of misplaced) {
    if (state[index] === FILLED) continue;
    await copier.copy(moved.get(one) ?? one.offset, list.offsets[index] ?? 0, one.file.size);
    state[index] = FILLED;
  }
  await truncate(base, list.baseSize);
}
