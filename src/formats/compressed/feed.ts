/** Chunks of a file, front to back; the unused end of a chunk can be pushed back. */
export interface Feed {
  /** The next chunk, never empty; undefined at the end. */
  take(): Promise<Uint8Array | undefined>;
  /** Pushes `rest` back, for the next `take`. */
  putBack(rest: Uint8Array): void;
  /** Whether nothing is left. */
  done(): Promise<boolean>;
  /** Ends the chunks early. */
  close(): Promise<void>;
}

export function feedOf(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Feed {
  const iterator =
    Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
  const back: Uint8Array[] = [];
  const putBack = (rest: Uint8Array) => {
    if (rest.length > 0) back.push(rest);
  };
  async function take(): Promise<Uint8Array | undefined> {
    for (;;) {
      const known = back.pop();
      if (known !== undefined) return known;
      const next = await iterator.next();
      if (next.done) return undefined;
      putBack(next.value);
    }
  }
  return {
    take,
    putBack,
    async done() {
      const chunk = await take();
      if (chunk !== undefined) putBack(chunk);
      return chunk === undefined;
    },
    async close() {
      await iterator.return?.();
    },
  };
}
