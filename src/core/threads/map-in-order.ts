/**
 * Maps `items` with up to `depth` results in progress, and yields the results in the order of the items.
 * This bounds memory and keeps everything that runs on a pool deterministic.
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
    // After a failure, return only when nothing is in progress any more.
    await Promise.allSettled(queue);
  }
}
