import { type Cursor, checkEnd, checkWithin, lowerBound } from '../segments/layout.ts';
import { MAX_HELD_BYTES, mostHeld } from '../segments/order.ts';
import { clusterEntry, compressedEntry } from './entry.ts';
import { clusterBytes, tableEntries } from './header.ts';
import { bad, type Qcow2Recipe } from './recipe.ts';

/** The positions of all segments of a recipe, and the contents of its tables. */
export interface Layout {
  /** Bytes of an L2 table. */
  table(index: number): Uint8Array;
  /** Numbers of all clusters that are in the file, ascending. */
  readonly ascending: Uint32Array;
}

/** Throws FormatError `QCOW2_RECIPE` if the segments do not make up the file. */
export function computeLayout(recipe: Qcow2Recipe): Layout {
  const { segments, lengths, clusterBits } = recipe;
  const size = clusterBytes(recipe);
  const numbers: number[] = [];
  const entries: bigint[] = [];
  const cursor: Cursor = { at: 0, literal: 0 };
  let compressed = 0;
  for (const segment of segments) {
    switch (segment.kind) {
      case 'literal':
        cursor.literal += segment.length;
        cursor.at += segment.length;
        break;
      case 'zeros':
        cursor.at += segment.length;
        break;
      case 'table':
        cursor.at += size;
        break;
      case 'clusters':
        if (cursor.at % size !== 0) throw bad('a cluster off the grid');
        for (let i = 0; i < segment.count; i++) {
          numbers.push(segment.first + i);
          entries.push(clusterEntry(cursor.at));
          cursor.at += size;
        }
        break;
      case 'deflated':
      case 'literal-deflated':
        for (let i = 0; i < segment.count; i++, compressed++) {
          const length = lengths[compressed] ?? 0;
          numbers.push(segment.first + i);
          entries.push(compressedEntry(cursor.at, length, clusterBits));
          cursor.at += length;
          if (segment.kind === 'literal-deflated') cursor.literal += length;
        }
        break;
    }
    checkWithin(cursor, recipe, bad);
  }
  checkEnd(cursor, recipe, bad);

  const order = Uint32Array.from(numbers, (_, position) => position);
  order.sort((a, b) => (numbers[a] ?? 0) - (numbers[b] ?? 0));
  const ascending = order.map((position) => numbers[position] ?? 0);
  if (mostHeld(numbers, ascending) > Math.max(1, MAX_HELD_BYTES / size)) {
    throw bad('clusters too far from the order of the disk, or there twice');
  }

  return {
    ascending,
    table(index) {
      const bytes = Buffer.alloc(size);
      const first = index * tableEntries(recipe);
      const start = lowerBound(order.length, (i) => ascending[i] ?? 0, first);
      for (let i = start; i < order.length; i++) {
        const slot = (ascending[i] ?? 0) - first;
        if (slot >= tableEntries(recipe)) break;
        bytes.writeBigUInt64BE(entries[order[i] ?? 0] ?? 0n, 8 * slot);
      }
      return bytes;
    },
  };
}
