import { closeSync, openSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import { packGrains, packRoom } from '../vmdk/pack-grains.ts';
import { inlinePool, workerPool } from '../workers/pool.ts';
import { type Deflater, loadDeflate } from './deflater.ts';
import { type DeflateMemo, openMemo, remembering } from './memo.ts';
import { DEFAULT_PARAMS } from './params.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let memo: DeflateMemo;
beforeEach(async () => {
  folder = await temporaryFolder();
  memo = await openMemo(folder.path);
});
afterEach(async () => {
  await memo[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const text = (what: string) => Buffer.alloc(65_536, `${what} deflates well `);

/** Counts what is really deflated. */
async function counted(): Promise<{ deflater: Deflater; count: () => number; plain: Deflater }> {
  const plain = await loadDeflate('zlib-1.3.2');
  let calls = 0;
  const compress: Deflater['compress'] = (...args) => {
    calls++;
    return plain.compress(...args);
  };
  return { deflater: { ...plain, compress }, count: () => calls, plain };
}

test('no thread deflates the same data twice, unless the parameters differ', async () => {
  const { deflater, count, plain } = await counted();
  const [one, other] = [remembering(deflater, memo.shared), remembering(deflater, memo.shared)];
  const fast = { ...DEFAULT_PARAMS, level: 1 };
  for (const params of [DEFAULT_PARAMS, fast]) {
    for (const what of ['a', 'b', 'a']) {
      const expected = Buffer.from(plain.compress(text(what), params));
      expect(expected.equals(one.compress(text(what), params))).toBe(true);
      expect(expected.equals(other.compress(text(what), params))).toBe(true);
    }
  }
  expect(count()).toBe(4);
});

test('its file has no name', () => {
  expect(readdirSync(folder.path)).toEqual([]);
});

test('a disk that is full only costs time', async () => {
  const { deflater, count } = await counted();
  const fd = openSync('/dev/full', 'r+');
  const one = remembering(deflater, { ...memo.shared, fd });
  const first = Buffer.from(one.compress(text('a'), DEFAULT_PARAMS));
  expect(first.equals(one.compress(text('a'), DEFAULT_PARAMS))).toBe(true);
  expect(count()).toBe(2);
  closeSync(fd);
});

test('when full, it takes no more entries', async () => {
  const { deflater, count } = await counted();
  new BigInt64Array(memo.shared.table, 0, 1)[0] = 2n ** 40n;
  const one = remembering(deflater, memo.shared);
  one.compress(text('a'), DEFAULT_PARAMS);
  one.compress(text('a'), DEFAULT_PARAMS);
  expect(count()).toBe(2);
});

describe('threads', () => {
  test('give the same with it as without', async () => {
    await using threads = workerPool(2, memo.shared);
    await using inline = inlinePool();
    const task = (what: string) => {
      const buffer = new Uint8Array(packRoom(1, 65_536));
      buffer.set(text(what), buffer.length - 65_536);
      return { buffer, grains: [{ lba: 0, length: 65_536 }], params: DEFAULT_PARAMS };
    };
    const names = ['a', 'b', 'a', 'c', 'b', 'a', 'a', 'b'];
    const results = await Promise.all(names.map((name) => threads.run(packGrains, task(name))));
    for (const [i, { buffer, spans }] of results.entries()) {
      const expected = await inline.run(packGrains, task(names[i] ?? ''));
      expect(spans).toEqual(expected.spans);
      const length = spans[0] ?? 0;
      expect(Buffer.from(buffer).subarray(0, length)).toEqual(
        Buffer.from(expected.buffer).subarray(0, length),
      );
    }
    expect(new BigInt64Array(memo.shared.table, 0, 1)[0]).toBeGreaterThan(0n);
  });
});
