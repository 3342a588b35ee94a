import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact } from '../../bundle/recipes.ts';
import { FormatError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { createDeltaDecoder } from '../../formats/delta/librsync.ts';
import { unzstd } from '../../formats/delta/zstd-frame.ts';

/** Where bytes come from. `zeros` are holes of the base; other zeros count as the base's. */
export const ORIGINS = ['iso', 'metal', 'metal4k', 'delta', 'zeros'] as const;
export type Origin = (typeof ORIGINS)[number];

/** Which bytes of an artifact come from where. Sizes in bytes. */
export interface OriginMap {
  /** Whether the map shows the artifact's own bytes or the disk inside its containers. */
  readonly of: 'file' | 'payload';
  readonly size: number;
  readonly totals: Readonly<Record<Origin, number>>;
  /** {@link CELLS} equal parts front to back, a letter of {@link LETTERS} each. */
  readonly cells: string;
}

export const CELLS = 256;
/** A part that contains any byte of the delta is `d`; otherwise the most frequent origin decides. */
export const LETTERS: Readonly<Record<Origin, string>> = {
  iso: 'i',
  metal: 'm',
  metal4k: 'k',
  delta: 'd',
  zeros: '.',
};

export interface MapOptions {
  readonly bundle: Bundle;
  readonly artifact: RecipeArtifact;
  readonly base: Source;
  readonly signal?: AbortSignal | undefined;
}

/** Reads an artifact's delta, not its bytes. Throws FormatError and IntegrityError for a damaged one. */
export async function mapOrigins({
  bundle,
  artifact,
  base,
  signal,
}: MapOptions): Promise<OriginMap> {
  const { recipe, size } = artifact;
  const from = recipe.kind === 'iso' ? 'iso' : recipe.base;
  const inside = recipe.kind === 'container' ? recipe.payload.size : size;
  const draft = drawing(inside);
  const copy = (offset: number, length: number) => {
    for (let at = offset; at < offset + length; ) {
      const data = base.nextData(at);
      const start = Math.min(data?.start ?? base.size, offset + length);
      draft.add('zeros', start - at);
      const end = Math.min(data?.end ?? start, offset + length);
      draft.add(from, end - start);
      at = Math.max(end, start);
    }
  };
  if (recipe.kind === 'iso' || recipe.kind === 'base') {
    copy(0, base.size);
  } else {
    const name = `the delta of ${artifact.name}`;
    const decoder = createDeltaDecoder(name);
    for await (const chunk of unzstd(name, bundle.readBlob(recipe.delta, signal), signal)) {
      for (const command of decoder.push(chunk)) {
        if (command.kind === 'literal') {
          draft.add('delta', command.data.length);
        } else {
          if (command.offset + command.length > base.size) throw pastBase(name, command.offset);
          copy(command.offset, command.length);
        }
      }
    }
    decoder.finish();
  }
  return { of: recipe.kind === 'container' ? 'payload' : 'file', size: inside, ...draft.finish() };
}

function pastBase(delta: string, offset: number): FormatError {
  return new FormatError(`${delta} copies past the end of its base`, {
    code: 'DELTA_COPY_RANGE',
    context: { delta, offset },
  });
}

/** Counts bytes in order, in total and by cell. Bytes beyond `size` count in the last cell. */
function drawing(size: number) {
  const totals: Record<Origin, number> = { iso: 0, metal: 0, metal4k: 0, delta: 0, zeros: 0 };
  const cells = Array.from({ length: CELLS }, () => new Float64Array(ORIGINS.length));
  const width = Math.max(1, size / CELLS);
  let position = 0;
  return {
    add(origin: Origin, length: number): void {
      if (length <= 0) return;
      totals[origin] += length;
      const kind = ORIGINS.indexOf(origin);
      for (let left = length; left > 0; ) {
        const index = Math.min(CELLS - 1, Math.floor(position / width));
        const room = index === CELLS - 1 ? left : (index + 1) * width - position;
        const part = Math.min(left, Math.max(room, 1e-6));
        const cell = cells[index];
        if (cell) cell[kind] = (cell[kind] ?? 0) + part;
        position += part;
        left -= part;
      }
    },
    finish: () => ({ totals, cells: cells.map(letterOf).join('') }),
  };
}

const DELTA = ORIGINS.indexOf('delta');

function letterOf(cell: Float64Array): string {
  if ((cell[DELTA] ?? 0) > 0) return LETTERS.delta;
  const most = Math.max(...cell);
  return LETTERS[ORIGINS[most === 0 ? ORIGINS.length - 1 : cell.indexOf(most)] ?? 'zeros'];
}
