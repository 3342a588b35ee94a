import { throwIfAborted } from '../errors.ts';

/** The outcome of one of several. */
export type Settled<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: unknown };

/**
 * Runs `body` for every item, at most `jobs` at a time, starting them in their order. A failure does not
 * stop the others. Never rejects: resolves, when all have ended, to the outcomes in the order of the items.
 * The bodies handle cancelling. `earlier` resolves when all items before this one have ended, for work that
 * must happen in order.
 */
export async function sideBySide<T, R>(
  items: readonly T[],
  jobs: number,
  body: (item: T, earlier: Promise<void>) => Promise<R>,
): Promise<Settled<R>[]> {
  const results: Settled<R>[] = [];
  const gates = items.map(() => Promise.withResolvers<void>());
  const queue = items.entries();
  const worker = async () => {
    for (const [index, item] of queue) {
      const earlier = Promise.all(gates.slice(0, index).map(({ promise }) => promise));
      try {
        results[index] = { ok: true, value: await body(item, earlier.then(nothing)) };
      } catch (error) {
        results[index] = { ok: false, error };
      }
      gates[index]?.resolve();
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, worker));
  return results;
}

const nothing = () => {};

/**
 * Like {@link sideBySide}, for work that is worth nothing unless all of it succeeds: the first failure cancels the
 * rest, and is thrown once that has ended. Each body gets the signal to heed.
 */
export async function allSideBySide<T, R>(
  items: readonly T[],
  jobs: number,
  outer: AbortSignal | undefined,
  body: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const stop = new AbortController();
  const signal = outer ? AbortSignal.any([outer, stop.signal]) : stop.signal;
  const settled = await sideBySide(items, jobs, async (item) => {
    try {
      throwIfAborted(signal);
      return await body(item, signal);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  });
  throwIfAborted(outer);
  if (stop.signal.aborted) throw stop.signal.reason;
  return settled.map(valueOrThrow);
}

/** The value, or throws the error. */
export function valueOrThrow<T>(settled: Settled<T>): T {
  if (settled.ok) return settled.value;
  throw settled.error;
}
