import type { FoundContent } from './sources/source.ts';

/** Contents that not every source has. */
export interface Lacking {
  readonly count: number;
  /** Bytes. */
  readonly bytes: number;
  readonly largest: { readonly path: string; readonly size: number }[];
}

const LARGEST = 10;

/** Counts contents, and names the largest of them. */
export function lackingOf(contents: readonly FoundContent[]): Lacking {
  const largest = contents.toSorted((a, b) => b.size - a.size).slice(0, LARGEST);
  return {
    count: contents.length,
    bytes: contents.reduce((sum, { size }) => sum + size, 0),
    largest: largest.map(({ path, size }) => ({
      path: Buffer.from(path, 'latin1').toString('utf8'),
      size,
    })),
  };
}
