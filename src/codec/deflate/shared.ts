import { type Deflater, loadDeflate } from './deflater.ts';
import type { Implementation } from './implementations.ts';
import { remembering, type SharedMemo } from './memo.ts';
import type { DeflateParams } from './params.ts';

const loaded = new Map<Implementation, Promise<Deflater>>();
let memo: SharedMemo | undefined;

/** Gives this thread's deflaters the memo; must be called before any is created. */
export function shareMemo(shared: SharedMemo): void {
  memo = shared;
}

/** Parameters and a deflater that uses them. */
export interface Candidate {
  readonly params: DeflateParams;
  readonly deflater: Deflater;
}

/** This thread's own deflaters for each of `candidates`. */
export function sharedDeflaters(candidates: readonly DeflateParams[]): Promise<Candidate[]> {
  return Promise.all(
    candidates.map(async (params) => {
      return { params, deflater: await sharedDeflater(params.implementation) };
    }),
  );
}

/** This thread's own deflater; its `compress` is synchronous, so any number of tasks can share it. */
export function sharedDeflater(implementation: Implementation): Promise<Deflater> {
  let deflater = loaded.get(implementation);
  if (deflater === undefined) {
    const known = memo;
    deflater = loadDeflate(implementation).then((one) => (known ? remembering(one, known) : one));
    loaded.set(implementation, deflater);
  }
  return deflater;
}
