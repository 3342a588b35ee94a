/** One of `of` equal parts of a job; `index` counts from 1, as `--shard 2/4` is written. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

/** A piece of work and its size; 0 for a piece that is only reported. */
export interface Weighted<T> {
  readonly item: T;
  readonly weight: number;
}

/**
 * The items of one shard. The list is cut into pieces of about equal weight that keep its order, so
 * that every item is in exactly one shard, the same on every host, and a shard has to boot few ISOs: an
 * architecture's artifacts are neighbours. A shard may be empty.
 */
export function takeShard<T>(items: readonly Weighted<T>[], shard: Shard | undefined): T[] {
  if (shard === undefined) return items.map(({ item }) => item);
  // Each counts for something, so that shards of many small items are not one shard.
  const smallest = Math.max(1, totalOf(items) / 1000 / Math.max(1, items.length));
  const total = totalOf(items) + smallest * items.length;
  let before = 0;
  return items.flatMap(({ item, weight }) => {
    const middle = before + (weight + smallest) / 2;
    before += weight + smallest;
    const index = Math.min(shard.of, Math.floor((middle / total) * shard.of) + 1);
    return index === shard.index ? [item] : [];
  });
}

const totalOf = (items: readonly Weighted<unknown>[]) =>
  items.reduce((sum, { weight }) => sum + weight, 0);

export const shardText = ({ index, of }: Shard): string => `${index}/${of}`;
