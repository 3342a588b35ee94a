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
  const { segments, lengths, literals, clusterBits, fileSize } = recipe;
  const size = clusterBytes(recipe);
  const numbers: number[] = [];
  const entries: bigint[] = [];
  let at = 0;
  let literal = 0;
  let compressed = 0;
  for (const segment of segments) {
    switch (segment.kind) {
      case 'literal':
        literal += segment.length;
        at += segment.length;
        break;
      case 'zeros':
        at += segment.length;
        break;
      case 'table':
        at += size;
        break;
      case 'clusters':
        if (at % size !== 0) throw bad('a cluster off the grid');
        for (let i = 0; i < segment.count; i++) {
          numbers.push(segment.first + i);
          entries.push(clusterEntry(at));
          at += size;
        }
        break;
      case 'deflated':
      case 'literal-deflated':
        for (let i = 0; i < segment.count; i++, compressed++) {
          const length = lengths[compressed] ?? 0;
          numbers.push(segment.first + i);
          entries.push(compressedEntry(at, length, clusterBits));
          at += length;
          if (segment.kind === 'literal-deflated') literal += length;
        }
        break;
    }
    if (!(at <= fileSize)) throw bad('segments outgrow the file');
  }
  if (at !== fileSize) throw bad(`segments of ${at} bytes for a file of ${fileSize}`);
  if (literal !== literals.length) throw bad('literals of another length');

  const order = Uint32Array.from(numbers, (_, position) => position);
  order.sort((a, b) => (numbers[a] ?? 0) - (numbers[b] ?? 0));
  const ascending = order.map((position) => numbers[position] ?? 0);
  checkOrder(numbers, ascending, Math.max(1, MAX_HELD_BYTES / size));

  /** Position in `order` of the first at or after `wanted`. */
  const search = (wanted: number) => {
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((ascending[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    ascending,
    table(index) {
      const bytes = Buffer.alloc(size);
      const first = index * tableEntries(recipe);
      for (let i = search(first); i < order.length; i++) {
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
