import { FormatError } from '../../errors.ts';
import { grainCount, SECTOR, tableCount } from './header.ts';
import { directoryBytes } from './metadata.ts';
import type { Segment, VmdkRecipe } from './recipe.ts';

/** Where everything of a recipe comes to lie; what its tables must hold. */
export interface Layout {
  /** Bytes of a grain directory or of tables `first` to `first + count - 1`. */
  directory(copy: number): Uint8Array;
  tables(first: number, count: number): Uint8Array;
  /** Whether the file holds its grains in the order of the disk, so that one pass over it will do. */
  readonly ascending: boolean;
}

/** Throws FormatError `VMDK_LAYOUT` if the segments do not make up the file. */
export function computeLayout(recipe: VmdkRecipe): Layout {
  const { segments, sectors, gtesPerTable, literals } = recipe;
  const bad = (problem: string) =>
    new FormatError(`vmdk recipe: ${problem}`, {
      code: 'VMDK_LAYOUT',
      hint: 'fetch the bundle again; this recipe is damaged',
    });
  const order = new Uint32Array(sectors.length);
  const grains = new Uint32Array(sectors.length);
  const starts = new Uint32Array(sectors.length);
  const tableStarts = [0, 1].map(() => new Map<number, number>());
  let at = 0;
  let literal = 0;
  let grain = 0;
  let tables = 0;
  let ascending = true;

  const sector = () => {
    if (at % SECTOR !== 0 || at / SECTOR > 0xffff_ffff) throw bad('a table or grain off the grid');
    return at / SECTOR;
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
    const length = start * SECTOR - at;
    at += length;
    if (at / SECTOR > 0xffff_ffff) throw bad('grains past the reach of a table');
    return length;
  };

  for (const segment of segments) {
    switch (segment.kind) {
      case 'literal':
        literal += segment.length;
        at += segment.length;
        break;
      case 'zeros':
        at += segment.length;
        break;
      case 'directory':
        sector();
        at += directoryBytes(recipe);
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
        at += segment.count * gtesPerTable * 4;
        if (segment.kind === 'literal-tables') literal += segment.count * gtesPerTable * 4;
        break;
      }
      case 'grains':
        placeGrains(segment);
        break;
      case 'literal-grains':
        literal += placeGrains(segment);
        break;
    }
    if (!(at <= recipe.fileSize)) throw bad('segments outgrow the file');
  }
  if (at !== recipe.fileSize) throw bad(`segments of ${at} bytes for a file of ${recipe.fileSize}`);
  if (literal !== literals.length) throw bad('literals of another length');

  if (!ascending) order.sort((a, b) => (grains[a] ?? 0) - (grains[b] ?? 0));
  /** Position in `order` of the first grain at or after `wanted`. */
  const search = (wanted: number) => {
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((grains[order[middle] ?? 0] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    ascending,
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
      for (let i = search(firstGrain); i < order.length; i++) {
        const position = order[i] ?? 0;
        const number = grains[position] ?? 0;
        if (number >= end) break;
        view.setUint32(4 * (number - firstGrain), starts[position] ?? 0, true);
      }
      return bytes;
    },
  };
}

export const diskSize = ({ capacity }: Pick<VmdkRecipe, 'capacity'>) => capacity * SECTOR;
