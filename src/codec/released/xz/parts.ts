import type { XzLayer } from '../layer.ts';

/** A block to make, or the start or end of a stream. */
export type Part =
  | { readonly kind: 'start' }
  | { readonly kind: 'block'; readonly size: number }
  | { readonly kind: 'end'; readonly padding: number };

/** The parts of a layer, in order. An empty stream has no block. */
export function* partsOf({ streams, blockSize }: XzLayer): Generator<Part> {
  for (const { size, times = 1, padding = 0 } of streams) {
    for (let n = 0; n < times; n++) {
      yield { kind: 'start' };
      for (let left = size; left > 0; left -= blockSize ?? size) {
        yield { kind: 'block', size: Math.min(left, blockSize ?? size) };
      }
      yield { kind: 'end', padding };
    }
  }
}
