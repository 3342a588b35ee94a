import { randomBytes } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHasher } from '../io/digest.ts';
import { hashSource } from '../io/hash-file.ts';
import { memorySource } from '../io/memory-source.ts';
import { openSource } from '../io/source.ts';
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

test('pending calls fail when the threads end', async () => {
  const threads = hashThreads(1);
  using hashing = threads.hashing();
  const waiting = expect(hashing.zeros(2 ** 40)).rejects.toThrow('hash worker ended');
  await threads[Symbol.asyncDispose]();
  await waiting;
  await expect(hashing.digest()).rejects.toThrow('hash worker ended');
});

describe('a file that the thread reads', () => {
  let folder: string;
  const bytes = randomBytes(20 << 20);
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hash-thread-'));
    const handle = await open(join(folder, 'file'), 'w');
    await handle.write(bytes, 0, 6 << 20, 1 << 20);
    await handle.write(bytes, 0, 5, 200 << 20);
    await handle.truncate((300 << 20) + 3);
    await handle.close();
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('all of it, with its holes, and how far it is', async () => {
    await using threads = hashThreads(1);
    await using source = await openSource(join(folder, 'file'));
    using hashing = threads.hashing();
    const told: number[] = [];
    const sha256 = await hashSource(source, { hashing, onBytes: (done) => told.push(done) });
    expect(sha256).toBe(await hashSource(source));
    expect(told.at(-1)).toBe(source.size);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
  });

  test('a source that is not a file is read by the caller', async () => {
    await using threads = hashThreads(1);
    const source = memorySource(bytes.subarray(0, (6 << 20) + 5));
    using hashing = threads.hashing();
    expect(await hashSource(source, { hashing })).toBe(await hashSource(source));
  });

  test('parts, between data and zeros of the caller', async () => {
    await using threads = hashThreads(1);
    await writeFile(join(folder, 'data'), bytes);
    await using source = await openSource(join(folder, 'data'));
    const file = { fd: source.fd ?? -1, name: 'data' };
    using hashing = threads.hashing();
    const here = createHasher();
    for (const [start, length] of [
      [3, 5],
      [1, 15 << 20],
      [bytes.length, 0],
      [bytes.length - 1, 1],
    ] as const) {
      await hashing.update(bytes.subarray(0, 7));
      await hashing.files?.add(file, start, length);
      await hashing.zeros(length);
      here.update(bytes.subarray(0, 7));
      here.update(bytes.subarray(start, start + length));
      here.zeros(length);
    }
    await hashing.files?.done();
    expect(hashing.bytes).toBe(here.bytes);
    expect(await hashing.digest()).toBe(here.digest());
  });

  test('one that ends early, or cannot be read, is a clear error, and the thread continues', async () => {
    await using threads = hashThreads(1);
    await using source = await openSource(join(folder, 'file'));
    const file = { fd: source.fd ?? -1, name: 'the file' };
    using short = threads.hashing();
    await short.files?.add(file, source.size - 10, 11);
    await expect(short.files?.done()).rejects.toMatchObject({
      code: 'SHORT_READ',
      message: expect.stringContaining('the file is truncated'),
    });
    using unreadable = threads.hashing();
    const write = await open(join(folder, 'write-only'), 'w');
    const other = { fd: write.fd, name: 'the other' };
    await unreadable.files?.add(other, 0, 10);
    await expect(unreadable.files?.done()).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringContaining('cannot read the other'),
    });
    await write.close();
    using last = threads.hashing();
    expect(await hashSource(source, { hashing: last })).toBe(await hashSource(source));
  });
});
