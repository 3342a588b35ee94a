import type { PlannedUnit } from './plan.ts';

/** Stored bytes that are read in one go. */
const MAX_SPAN = 1 << 20;
/** Bytes that a batch unpacks to: some milliseconds of work. */
const MAX_LENGTH = 4 << 20;

/**
 * Groups adjacent units of the image, so that a thread reads them at once. The groups come in the order of
 * the disk, so that hashing can start early.
 */
export function batches(units: readonly PlannedUnit[]): PlannedUnit[][] {
  const all: PlannedUnit[][] = [];
  let batch: PlannedUnit[] = [];
  let start = 0;
  let length = 0;
  for (const unit of units) {
    const tooFar = unit.offset + unit.stored - start > MAX_SPAN;
    if (batch.length === 0 || tooFar || length + unit.length > MAX_LENGTH) {
      batch = [];
      all.push(batch);
      start = unit.offset;
      length = 0;
    }
    batch.push(unit);
    length += unit.length;
  }
  return all
    .map((members) => ({ members, first: firstOffset(members) }))
    .sort((a, b) => a.first - b.first)
    .map(({ members }) => members);
}

function firstOffset(units: readonly PlannedUnit[]): number {
  let first = Number.POSITIVE_INFINITY;
  for (const { copies } of units) {
    for (const { diskOffset } of copies) first = Math.min(first, diskOffset);
  }
  return first;
}
