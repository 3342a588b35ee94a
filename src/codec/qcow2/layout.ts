import { type Cursor, checkEnd, checkWithin, lowerBound } from '../segments/layout.ts';
import { clusterEntry, compressedEntry } from './entry.ts';
import { clusterBytes, tableEntries } from './header.ts';
import { bad, type Qcow2Recipe } from './recipe.ts';

/** Where everything of a recipe comes to lie; what its tables must hold. */
export interface Layout {
  /** Bytes of an L2 table. */
  table(index: number): Uint8Array;
  /** Numbers of all clusters that are in the file, ascending. */
  readonly ascending: Uint32Array;
}

/** What may be read of the disk before its turn in the file comes. */
const MAX_HELD_BYTES = 64 << 20;

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
  checkOrder(numbers, ascending, Math.max(1, MAX_HELD_BYTES / size));

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

/**
 * Clusters that do not deflate lie apart from the others, and these go on filling an older cluster: the
 * order of the file is that of the disk but for little things, which memory can make up for.
 */
function checkOrder(numbers: readonly number[], ascending: Uint32Array, most: number): void {
  let passed = 0;
  for (const [taken, number] of numbers.entries()) {
    while (passed < ascending.length && (ascending[passed] ?? 0) <= number) passed++;
    if (passed - taken > most) throw bad('clusters too far from the order of the disk');
  }
  if (ascending.some((number, i) => i > 0 && number === ascending[i - 1])) {
    throw bad('a cluster that is there twice');
  }
}
