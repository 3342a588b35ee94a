import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHasher } from './digest.ts';
import { HASH_SLOT, hashThreads } from './hash-thread.ts';

const length = fc.oneof(
  fc.nat(100),
  fc.nat(3 * HASH_SLOT),
  fc.constantFrom(HASH_SLOT, 8 * HASH_SLOT),
);
const piece = fc.record({ zero: fc.boolean(), length });

test('any data and zeros, in any pieces, several streams at once', async () => {
  await using threads = hashThreads(2);
  const bytes = randomBytes(8 * HASH_SLOT);
  const stream = fc.array(piece, { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(fc.array(stream, { minLength: 1, maxLength: 5 }), async (streams) => {
      await Promise.all(
        streams.map(async (pieces) => {
          using hashing = threads.hashing();
          const here = createHasher();
          for (const { zero, length } of pieces) {
            if (zero) here.zeros(length);
            else here.update(bytes.subarray(0, length));
            // The chunk may change once it is taken.
            const chunk = Buffer.from(bytes.subarray(0, length));
            await (zero ? hashing.zeros(length) : hashing.update(chunk));
            chunk.fill(1);
          }
          expect(hashing.bytes).toBe(here.bytes);
          expect(await hashing.digest()).toBe(here.digest());
        }),
      );
    }),
    { numRuns: 30 },
  );
});

test('a stream that is given up leaves its thread to others', async () => {
  await using threads = hashThreads(1);
  for (let i = 0; i < 20; i++) {
    using given = threads.hashing();
    await given.update(randomBytes(HASH_SLOT + 1));
    await given.zeros(1 << 20);
  }
  using last = threads.hashing();
  await last.zeros(5);
  const here = createHasher();
  here.zeros(5);
  expect(await last.digest()).toBe(here.digest());
});

test('zeros stop for a signal', async () => {
  await using threads = hashThreads(1);
  using hashing = threads.hashing(AbortSignal.abort());
  await expect(hashing.zeros(2 ** 40)).rejects.toMatchObject({ code: 'CANCELLED' });
});

test('whoever waits hears of the end of the threads', async () => {
  const threads = hashThreads(1);
  using hashing = threads.hashing();
  const waiting = expect(hashing.zeros(2 ** 40)).rejects.toThrow('hash worker ended');
  await threads[Symbol.asyncDispose]();
  await waiting;
  await expect(hashing.digest()).rejects.toThrow('hash worker ended');
});
