import type { PlannedUnit } from './plan.ts';

/** How far each disk is complete from its start, and so may be hashed. */
export interface Watermark {
  /** All pieces of `units` are written. */
  unpacked(units: readonly PlannedUnit[]): void;
  /** Everything unmapped in front of `upTo` of a disk is written. */
  filled(disk: number, upTo: number): void;
  /** Everything before it is final. Infinity once the disk is complete. */
  of(disk: number): number;
}

export function createWatermark(disks: number, units: readonly PlannedUnit[]): Watermark {
  // Per disk: the offsets of its copies in order, and which are done.
  const offsets = Array.from({ length: disks }, (): number[] => []);
  for (const { copies } of units) {
    for (const { disk, diskOffset } of copies) offsets[disk]?.push(diskOffset);
  }
  const lanes = offsets.map((list) => {
    const starts = Float64Array.from(list).sort();
    return { starts, done: new Uint8Array(starts.length), first: 0, filled: 0 };
  });
  return {
    unpacked(done) {
      for (const { copies } of done) {
        for (const { disk, diskOffset } of copies) {
          const lane = lanes[disk];
          if (lane) lane.done[indexOf(lane.starts, diskOffset)] = 1;
        }
      }
      for (const lane of lanes) while (lane.done[lane.first] === 1) lane.first++;
    },
    filled(disk, upTo) {
      const lane = lanes[disk];
      if (lane) lane.filled = upTo;
    },
    of(disk) {
      const lane = lanes[disk];
      if (lane === undefined) return 0;
      return Math.min(lane.filled, lane.starts[lane.first] ?? Number.POSITIVE_INFINITY);
    },
  };
}

/** Of a value that is there, in ascending order; no two copies start at the same place of a disk. */
function indexOf(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
