import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createTermination, Terminated } from './termination.ts';

test('the first cause wins', async () => {
  using termination = createTermination(undefined);
  const race = termination.race(new Promise(() => {}));
  termination.end({ kind: 'silence', seconds: 1 });
  termination.end({ kind: 'boot', seconds: 2 });
  await expect(race).rejects.toThrow(new Terminated({ kind: 'silence', seconds: 1 }));
  expect(termination.cause?.kind).toBe('silence');
});

test('an available result counts, however late', async () => {
  using termination = createTermination(undefined);
  termination.end({ kind: 'boot', seconds: 2 });
  await expect(termination.race(Promise.resolve('done'))).resolves.toBe('done');
  await expect(termination.race(delay(5))).rejects.toThrow('boot');
});

test("the caller's abort is a cause, before and after the start", async () => {
  using early = createTermination(AbortSignal.abort());
  expect(early.cause?.kind).toBe('cancelled');
  const controller = new AbortController();
  using late = createTermination(controller.signal);
  const race = late.race(new Promise(() => {}));
  controller.abort();
  await expect(race).rejects.toThrow('cancelled');
});
