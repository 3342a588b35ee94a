import { expect, test } from 'vitest';
import { memorySource } from './memory-source.ts';

test('reads the requested bytes, or fails', async () => {
  await using source = memorySource(Uint8Array.of(1, 2, 3, 4));
  const two = new Uint8Array(2);
  await source.read(two, 2);
  expect([...two]).toEqual([3, 4]);
  source.readSync(two, 0);
  expect([...two]).toEqual([1, 2]);
  expect(source.nextData(3)).toEqual({ start: 3, end: 4 });
  expect(source.nextData(4)).toBeUndefined();
  for (const position of [3, -1, Number.NaN, 2 ** 60]) {
    await expect(source.read(two, position)).rejects.toMatchObject({ code: 'SHORT_READ' });
  }
});
