import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Qmp } from './qmp.ts';
import { createTermination } from './termination.ts';
import { startWatch } from './watch.ts';

const LIMITS = { firstOutput: 10, inactivity: 30, total: 100 };
beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A QEMU whose disks have done `requests()` requests. */
const qemu = (requests: () => number): Qmp => ({
  execute: async () => [
    { 'node-name': 'm', stats: { rd_operations: 0, wr_operations: requests(), wr_bytes: 1 } },
  ],
  close: () => {},
});

test('a guest that prints nothing', async () => {
  const termination = createTermination(undefined);
  const watch = startWatch(termination, LIMITS, () => {});
  await vi.advanceTimersByTimeAsync(9_900);
  expect(termination.cause).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(termination.cause).toEqual({ kind: 'silence', seconds: 10 });
  watch.stop();
});

test('a guest that stops working, with QEMU still answering', async () => {
  const termination = createTermination(undefined);
  const watch = startWatch(termination, LIMITS, () => {});
  watch.touch();
  watch.follow(qemu(() => 7));
  await vi.advanceTimersByTimeAsync(29_000);
  expect(termination.cause).toBeUndefined();
  await vi.advanceTimersByTimeAsync(2_500);
  expect(termination.cause?.kind).toBe('inactivity');
  watch.stop();
});

test('disk requests alone keep a guest alive, but not past the total limit', async () => {
  const termination = createTermination(undefined);
  let requests = 0;
  const seen: number[] = [];
  const watch = startWatch(termination, LIMITS, (activity) => seen.push(activity.requests));
  watch.touch();
  watch.follow(qemu(() => requests++));
  await vi.advanceTimersByTimeAsync(99_000);
  expect(termination.cause).toBeUndefined();
  expect(seen.length).toBeGreaterThan(150);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(termination.cause).toEqual({ kind: 'total', seconds: 100 });
  watch.stop();
});
