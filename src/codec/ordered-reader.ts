import type { DiskReader } from './sequential-disk.ts';

/**
 * Reads pieces (clusters, grains) in the order of the file from a disk that arrives front to back: pieces that
 * are needed later are buffered. The layout of a recipe has checked that these are few.
 *
 * @param size of a piece; the last one of the disk may be shorter, and is filled up with zeros
 * @param ascending numbers of all pieces that will be requested, each once
 */
export function orderedReader(
  disk: DiskReader,
  { size, diskSize }: { readonly size: number; readonly diskSize: number },
  ascending: Uint32Array,
): (number: number, target: Uint8Array) => Promise<void> {
  const held = new Map<number, Uint8Array>();
  let next = 0;
  return async (number, target) => {
    const kept = held.get(number);
    if (kept) {
      target.set(kept.subarray(0, target.length));
      held.delete(number);
      return;
    }
    for (;;) {
      const passed = ascending[next++];
      if (passed === undefined) throw new RangeError(`piece ${number} was not announced`);
      const into = passed === number ? target : new Uint8Array(size);
      const length = Math.min(into.length, diskSize - passed * size);
      await disk.read(into.subarray(0, length), passed * size);
      into.fill(0, length);
      if (passed === number) return;
      held.set(passed, into);
    }
  };
}
