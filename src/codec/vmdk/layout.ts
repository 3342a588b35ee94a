import { damagedRecipe } from '../recipe-frame.ts';
import { type Cursor, checkEnd, checkWithin, lowerBound } from '../segments/layout.ts';
import { MAX_HELD_BYTES, mostHeld } from '../segments/order.ts';
import { grainCount, SECTOR, tableCount } from './header.ts';
import { directoryBytes } from './metadata.ts';
import type { Segment, VmdkRecipe } from './recipe.ts';

/** The positions of all segments of a recipe, and the contents of its tables. */
export interface Layout {
  /** Bytes of a grain directory or of tables `first` to `first + count - 1`. */
  directory(copy: number): Uint8Array;
  tables(first: number, count: number): Uint8Array;
  /** Whether one pass over the disk will do: the file holds its grains in order, or nearly so. */
  readonly sequential: boolean;
  /** Numbers of the grains that are read of the disk, ascending; undefined if the file has them in order. */
  readonly reordered: Uint32Array | undefined;
}

const bad = damagedRecipe('vmdk recipe', 'VMDK_LAYOUT');

/** Throws FormatError `VMDK_LAYOUT` if the segments do not make up the file. */
export function computeLayout(recipe: VmdkRecipe): Layout {
  const { segments, sectors, gtesPerTable } = recipe;
  const order = new Uint32Array(sectors.length);
  const grains = new Uint32Array(sectors.length);
  const starts = new Uint32Array(sectors.length);
  const tableStarts = [0, 1].map(() => new Map<number, number>());
  const cursor: Cursor = { at: 0, literal: 0 };
  let grain = 0;
  let tables = 0;
  let ascending = true;

  const sector = () => {
    if (cursor.at % SECTOR !== 0 || cursor.at / SECTOR > 0xffff_ffff)
      throw bad('an unaligned table or grain');
    return cursor.at / SECTOR;
  };
  const placeGrains = (segment: Segment & { first: number; count: number }) => {
    let start = sector();
    for (let i = 0; i < segment.count; i++, grain++) {
      const previous = grain === 0 ? -1 : (grains[grain - 1] ?? 0);
      if (segment.first + i <= previous) ascending = false;
      order[grain] = grain;
      grains[grain] = segment.first + i;
      starts[grain] = start;
      start += sectors[grain] ?? 0;
    }
    const length = start * SECTOR - cursor.at;
    cursor.at += length;
    if (cursor.at / SECTOR > 0xffff_ffff) throw bad('grains past the reach of a table');
    return length;
  };

  for (const segment of segments) {
    switch (segment.kind) {
      case 'literal':
        cursor.literal += segment.length;
        cursor.at += segment.length;
        break;
      case 'zeros':
        cursor.at += segment.length;
        break;
      case 'directory':
        sector();
        cursor.at += directoryBytes(recipe);
        break;
      case 'tables':
      case 'literal-tables': {
        const table = sector();
        const step = (gtesPerTable * 4) / SECTOR;
        tables += segment.count;
        if (tables > 2 * tableCount(recipe)) throw bad('more tables than the disk has');
        for (let i = 0; i < segment.count; i++) {
          tableStarts[segment.copy]?.set(segment.first + i, table + i * step);
        }
        cursor.at += segment.count * gtesPerTable * 4;
        if (segment.kind === 'literal-tables') cursor.literal += segment.count * gtesPerTable * 4;
        break;
      }
      case 'grains':
        placeGrains(segment);
        break;
      case 'literal-grains':
        cursor.literal += placeGrains(segment);
        break;
    }
    checkWithin(cursor, recipe, bad);
  }
  checkEnd(cursor, recipe, bad);

  if (!ascending) order.sort((a, b) => (grains[a] ?? 0) - (grains[b] ?? 0));
  const wanted = ascending ? undefined : grainsRead(segments);
  const reordered = wanted && Uint32Array.from(wanted).sort();
  const held = wanted && reordered ? mostHeld(wanted, reordered) : 1;
  const numberAt = (i: number) => grains[order[i] ?? 0] ?? 0;
  return {
    sequential: held * recipe.grainSectors * SECTOR <= MAX_HELD_BYTES,
    reordered,
    directory(copy) {
      const bytes = new Uint8Array(directoryBytes(recipe));
      const view = new DataView(bytes.buffer);
      for (const [table, start] of tableStarts[copy] ?? []) view.setUint32(4 * table, start, true);
      return bytes;
    },
    tables(first, count) {
      const bytes = new Uint8Array(count * gtesPerTable * 4);
      const view = new DataView(bytes.buffer);
      const firstGrain = first * gtesPerTable;
      const end = Math.min(firstGrain + count * gtesPerTable, grainCount(recipe));
      for (let i = lowerBound(order.length, numberAt, firstGrain); i < order.length; i++) {
        const position = order[i] ?? 0;
        const number = grains[position] ?? 0;
        if (number >= end) break;
        view.setUint32(4 * (number - firstGrain), starts[position] ?? 0, true);
      }
      return bytes;
    },
  };
}

/** Numbers of the grains that are deflated, in the order of the file. */
function grainsRead(segments: readonly Segment[]): number[] {
  const numbers: number[] = [];
  for (const segment of segments) {
    if (segment.kind !== 'grains') continue;
    for (let i = 0; i < segment.count; i++) numbers.push(segment.first + i);
  }
  return numbers;
}

export const diskSize = ({ capacity }: Pick<VmdkRecipe, 'capacity'>) => capacity * SECTOR;
