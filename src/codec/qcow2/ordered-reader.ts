import type { DiskReader } from '../sequential-disk.ts';
import { clusterBytes, type Geometry } from './header.ts';
import { lengthOnDisk } from './metadata.ts';

/**
 * Reads clusters in the order of the file off a disk that comes front to back: what is passed on the way
 * and wanted later is held. `computeLayout` has seen to it that this is not much.
 *
 * @param ascending numbers of all clusters that will be asked for, each once
 */
export function orderedReader(
  disk: DiskReader,
  geometry: Geometry,
  ascending: Uint32Array,
): (number: number, target: Uint8Array) => Promise<void> {
  const size = clusterBytes(geometry);
  const held = new Map<number, Uint8Array>();
  let next = 0;
  return async (number, target) => {
    const kept = held.get(number);
    if (kept) {
      target.set(kept);
      held.delete(number);
      return;
    }
    for (;;) {
      const passed = ascending[next++];
      if (passed === undefined) throw new RangeError(`cluster ${number} was not announced`);
      const into = passed === number ? target : new Uint8Array(size);
      const length = lengthOnDisk(geometry, passed);
      await disk.read(into.subarray(0, length), passed * size);
      into.fill(0, length, size);
      if (passed === number) return;
      held.set(passed, into);
    }
  };
}
