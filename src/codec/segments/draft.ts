import { type RehydrateError, throwIfAborted } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { zeroRuns } from '../../core/io/zero.ts';

/** Common to the segments of all codecs: a file is described as a list of segments, front to back. */
export type AnySegment =
  | { readonly kind: string; readonly length: number }
  | {
      readonly kind: string;
      readonly first: number;
      readonly count: number;
      readonly codec?: number;
      readonly copy?: number;
    }
  | { readonly kind: string; readonly index: number }
  | { readonly kind: string; readonly copy: number };

/** Bytes without a known structure: stored literally, or zeros. */
type Plain = { readonly kind: 'literal' | 'zeros'; readonly length: number };

export interface DraftOptions {
  readonly source: Source;
  /** Zero runs are found on this grid of the file. */
  readonly grid: number;
  /** With more literal bytes than this, the file is better stored without the codec. */
  readonly maxLiterals: number;
  /** The error to throw then. */
  readonly tooMuch: () => RehydrateError;
  readonly signal: AbortSignal | undefined;
}

/** The unfinished description of a file. */
export interface SegmentDraft<S> {
  readonly segments: readonly S[];
  /** Merges a segment that continues the previous one. */
  add(segment: S | Plain): void;
  /** Keeps `length` bytes of the file from `start`, for the segment that was added last. */
  keep(start: number, length: number): Promise<void>;
  /** Describes `[start, end)` of the file as literals and zeros. */
  gap(start: number, end: number): Promise<void>;
  literals(): Buffer;
}

const GAP_CHUNK = 1 << 20;

export function segmentDraft<S extends AnySegment>(options: DraftOptions): SegmentDraft<S | Plain> {
  const { source, grid, maxLiterals, tooMuch, signal } = options;
  const segments: (S | Plain)[] = [];
  const literals: Uint8Array[] = [];
  let literalBytes = 0;

  function add(segment: S | Plain): void {
    const joined = join(segments.at(-1), segment);
    if (joined) segments[segments.length - 1] = joined;
    else segments.push(segment);
  }
  async function read(start: number, length: number): Promise<Uint8Array> {
    throwIfAborted(signal);
    const bytes = new Uint8Array(length);
    await source.read(bytes, start);
    return bytes;
  }
  function note(bytes: Uint8Array): void {
    literals.push(bytes);
    literalBytes += bytes.length;
    if (literalBytes > maxLiterals) throw tooMuch();
  }
  return {
    segments,
    add,
    keep: async (start, length) => note(await read(start, length)),
    async gap(start, end) {
      for (let at = start; at < end; at += GAP_CHUNK) {
        const bytes = await read(at, Math.min(GAP_CHUNK, end - at));
        for (const run of zeroRuns(bytes, at, grid)) {
          add({ kind: run.zero ? 'zeros' : 'literal', length: run.end - run.start });
          if (!run.zero) note(bytes.slice(run.start, run.end));
        }
      }
    },
    literals: () => Buffer.concat(literals),
  };
}

/** One segment instead of two where the second continues the first. */
function join<S extends AnySegment>(last: S | undefined, next: S): S | undefined {
  if (last === undefined || last.kind !== next.kind) return undefined;
  if ('length' in last && 'length' in next) return { ...next, length: last.length + next.length };
  if (!('first' in last && 'first' in next) || last.first + last.count !== next.first) {
    return undefined;
  }
  if (last.codec !== next.codec || last.copy !== next.copy) return undefined;
  return { ...next, first: last.first, count: last.count + next.count };
}

/**
 * Describes a file whose tables are computed where that gives the right bytes, and stored literally
 * elsewhere (entries that read as zeros, stale copies). A first draft shows which those are.
 */
export async function describeWithTables<T extends { readonly start: number }, R>(
  source: Source,
  tables: readonly T[],
  describe: (asLiteral: ReadonlySet<T>) => Promise<R>,
  layoutOf: (recipe: R) => (table: T) => Uint8Array,
): Promise<R> {
  const draft = await describe(new Set());
  const compute = layoutOf(draft);
  const wrong = new Set<T>();
  for (const table of tables) {
    const computed = compute(table);
    const bytes = Buffer.alloc(computed.length);
    await source.read(bytes, table.start);
    if (!bytes.equals(computed)) wrong.add(table);
  }
  return wrong.size === 0 ? draft : describe(wrong);
}
