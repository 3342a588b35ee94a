/** Lets at most so many of several works run at a time. */
export interface Turns {
  /** Waits for a turn, in the order of the calls, and runs `body`. */
  run<T>(body: () => Promise<T>): Promise<T>;
}

export function createTurns(count: number): Turns {
  const waiting: (() => void)[] = [];
  let free = Math.max(1, count);
  const take = () => {
    if (free > 0) {
      free--;
      return Promise.resolve();
    }
    return new Promise<void>((resolve) => waiting.push(resolve));
  };
  const give = () => {
    const next = waiting.shift();
    if (next) next();
    else free++;
  };
  return {
    async run(body) {
      await take();
      try {
        return await body();
      } finally {
        give();
      }
    },
  };
}
