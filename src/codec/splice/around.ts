import { UnsupportedError } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { segmentDraft } from '../segments/draft.ts';
import type { Segment, SpliceRecipe } from './recipe.ts';

/** The bytes around a payload must be few, or the matcher handles the file better. */
const MAX_LITERALS = 4 << 20;
/** That of a tar. */
const GRID = 512;

/** Describes a file that has its payload at `[start, start + length)`. */
export async function describeAround(
  source: Source,
  payload: { readonly start: number; readonly length: number },
  signal?: AbortSignal,
): Promise<SpliceRecipe> {
  const { gap, add, segments, literals } = segmentDraft<Segment>({
    ...{ source, grid: GRID, maxLiterals: MAX_LITERALS, signal },
    tooMuch: () =>
      new UnsupportedError(`${source.name} has too much around its payload`, {
        code: 'SPLICE_OPAQUE',
        context: { file: source.name, limit: MAX_LITERALS },
      }),
  });
  await gap(0, payload.start);
  add({ kind: 'payload', length: payload.length });
  await gap(payload.start + payload.length, source.size);
  return { segments, literals: literals() };
}
