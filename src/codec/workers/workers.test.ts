import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { mapInOrder } from '../../core/threads/map-in-order.ts';
import { DEFAULT_PARAMS } from '../deflate/params.ts';
import { checkGrains } from '../vmdk/check-grains.ts';
import { packGrains, packRoom } from '../vmdk/pack-grains.ts';
import { inlinePool, workerPool } from './pool.ts';

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

test('results come in the order of their items, a bounded number under way', async () => {
  let underWay = 0;
  let most = 0;
  const results = mapInOrder([5, 30, 1, 20, 0, 9, 2, 40, 3], 3, async (delay) => {
    most = Math.max(most, ++underWay);
    await sleep(delay);
    underWay--;
    return delay;
  });
  expect(await collect(results)).toEqual([5, 30, 1, 20, 0, 9, 2, 40, 3]);
  expect(most).toBe(4);
});

test('the first failure in order wins, and nothing is under way after it', async () => {
  let underWay = 0;
  const results = mapInOrder([20, 10, 1, 5], 3, async (delay) => {
    underWay++;
    await sleep(delay);
    underWay--;
    if (delay < 15) throw new Error(`failed after ${delay}`);
    return delay;
  });
  await expect(collect(results)).rejects.toThrow('failed after 10');
  expect(underWay).toBe(0);
});

test('a thread gives the same result as the calling thread, and takes over its buffers', async () => {
  await using threads = workerPool(2);
  await using inline = inlinePool();
  const task = () => ({
    buffer: new Uint8Array(packRoom(2, 65_536)).fill(120),
    grains: [
      { lba: 0, length: 65_536 },
      { lba: 128, length: 65_536 },
    ],
    params: DEFAULT_PARAMS,
  });
  const moved = task();
  const results = await Promise.all([
    inline.run(packGrains, task()),
    threads.run(packGrains, task()),
    threads.run(packGrains, moved, [moved.buffer.buffer]),
  ]);
  expect(moved.buffer.length).toBe(0);
  for (const result of results) expect(result).toEqual(results[0]);
});

test('errors keep their class, code and context across threads', async () => {
  await using threads = workerPool(1);
  const grain = { start: 0, room: 512, lba: 0, length: 65_536 };
  const input = {
    name: 'a.vmdk',
    position: 1024,
    file: new Uint8Array(512).fill(1),
    grains: [grain],
    grainBytes: 65_536,
    candidates: [],
  };
  await expect(threads.run(checkGrains, input)).rejects.toMatchObject({
    name: 'FormatError',
    kind: 'format',
    code: 'VMDK_GRAIN',
    context: { file: 'a.vmdk', offset: 1024 },
  });
  // A bug is not a user's error, and the thread survives.
  const bug = threads.run(checkGrains, { ...input, file: new Uint8Array(3) });
  await expect(bug).rejects.toMatchObject({
    name: 'Error',
    message: expect.stringContaining('Invalid DataView length'),
  });
  await expect(threads.run(checkGrains, { ...input, grains: [] })).resolves.toBeDefined();
});

test('work that is under way when the pool is disposed of fails, and so does later work', async () => {
  const threads = workerPool(1);
  const input = { buffer: new Uint8Array(1 << 20), grains: [], params: DEFAULT_PARAMS };
  const running = threads.run(packGrains, input);
  const settled = expect(running).rejects.toThrow('codec worker ended');
  await threads[Symbol.asyncDispose]();
  await settled;
  await expect(threads.run(packGrains, input)).rejects.toThrow('codec worker ended');
});
