import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createTurns } from './turns.ts';

test('so many at a time, in the order of the calls, whether they fail or not', async () => {
  const turns = createTurns(2);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const outcomes = await Promise.allSettled(
    [30, 10, 10, 10, 10].map((ms, i) =>
      turns.run(async () => {
        begun.push(i);
        most = Math.max(most, ++running);
        await delay(ms);
        running--;
        if (i % 2 === 1) throw new Error(`${i}`);
        return i;
      }),
    ),
  );
  expect(most).toBe(2);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
});

test('always at least one', async () => {
  expect(await createTurns(0).run(async () => 7)).toBe(7);
});
