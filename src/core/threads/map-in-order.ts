/**
 * Maps `items` with up to `depth` results under way, and yields the results in the order of the
 * items: the bound on memory and the determinism of all that runs on a pool.
 */
export async function* mapInOrder<I, O>(
  items: Iterable<I> | AsyncIterable<I>,
  depth: number,
  map: (item: I) => Promise<O>,
): AsyncGenerator<O> {
  const queue: Promise<O>[] = [];
  try {
    for await (const item of items) {
      const result = map(item);
      result.catch(() => {}); // reported when its turn comes
      queue.push(result);
      const first = queue.length > depth ? queue.shift() : undefined;
      if (first) yield await first;
    }
    for (let first = queue.shift(); first; first = queue.shift()) yield await first;
  } finally {
    // After a failure, let go only when nothing is under way any more.
    await Promise.allSettled(queue);
  }
}
