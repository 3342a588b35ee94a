import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sideBySide, valueOrThrow } from './side-by-side.ts';

test('as many at a time as there are jobs, in order, and a failure does not stop the others', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ ticks: fc.integer({ min: 1, max: 5 }), fails: fc.boolean() }), {
        maxLength: 12,
      }),
      fc.integer({ min: 1, max: 5 }),
      async (items, jobs) => {
        let running = 0;
        let most = 0;
        const started: number[] = [];
        const settled = await sideBySide([...items.entries()], jobs, async ([index, item]) => {
          started.push(index);
          most = Math.max(most, ++running);
          for (let i = 0; i < item.ticks; i++) await tick();
          running--;
          if (item.fails) throw new Error(`${index}`);
          return index;
        });
        expect(most).toBe(Math.min(jobs, items.length));
        expect(started).toEqual([...items.keys()]);
        for (const [index, { fails }] of items.entries()) {
          const one = settled[index];
          if (one === undefined) throw new Error(`${index} is missing`);
          expect(one.ok).toBe(!fails);
          if (fails) expect(() => valueOrThrow(one)).toThrow(`${index}`);
          else expect(valueOrThrow(one)).toBe(index);
        }
      },
    ),
  );
});

test('`earlier` waits for all items before, however they end', async () => {
  const order: string[] = [];
  await sideBySide(['a', 'b', 'c'], 3, async (item, earlier) => {
    const ticks = { a: 9, b: 5, c: 1 }[item] ?? 0;
    for (let i = 0; i < ticks; i++) await tick();
    if (item === 'a') {
      order.push(item);
      throw new Error('a fails');
    }
    await earlier;
    order.push(item);
  });
  expect(order).toEqual(['a', 'b', 'c']);
});
