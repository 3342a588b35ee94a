import { throwIfAborted, UnsupportedError } from '../../errors.ts';
import type { Source } from '../../io/source.ts';
import { zeroRuns } from '../../io/zero.ts';
import type { Segment, SpliceRecipe } from './recipe.ts';

/** What is around a payload has to be small, or it is better left to the matcher. */
const MAX_LITERALS = 4 << 20;
const CHUNK = 1 << 20;
/** Zero runs are found on this grid: that of a tar. */
const GRID = 512;

/** Describes a file that has its payload at `[start, start + length)`. */
export async function describeAround(
  source: Source,
  payload: { readonly start: number; readonly length: number },
  signal?: AbortSignal,
): Promise<SpliceRecipe> {
  const segments: Segment[] = [];
  const literals: Uint8Array[] = [];
  let literalBytes = 0;
  const add = (kind: Segment['kind'], length: number) => {
    const last = segments.at(-1);
    if (last?.kind === kind) segments[segments.length - 1] = { kind, length: last.length + length };
    else if (length > 0) segments.push({ kind, length });
  };
  async function keep(start: number, end: number): Promise<void> {
    for (let at = start; at < end; at += CHUNK) {
      throwIfAborted(signal);
      const bytes = new Uint8Array(Math.min(CHUNK, end - at));
      await source.read(bytes, at);
      for (const run of zeroRuns(bytes, at, GRID)) {
        add(run.zero ? 'zeros' : 'literal', run.end - run.start);
        if (!run.zero) {
          literals.push(bytes.slice(run.start, run.end));
          literalBytes += run.end - run.start;
        }
        if (literalBytes > MAX_LITERALS) {
          throw new UnsupportedError(`${source.name} has too much around its payload`, {
            code: 'SPLICE_OPAQUE',
            context: { file: source.name, limit: MAX_LITERALS },
          });
        }
      }
    }
  }
  await keep(0, payload.start);
  add('payload', payload.length);
  await keep(payload.start + payload.length, source.size);
  return { segments, literals: Buffer.concat(literals) };
}
