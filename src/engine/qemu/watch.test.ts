import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createGuestClock, threadWaits } from './guest-clock.ts';
import type { Qmp } from './qmp.ts';
import { createTermination } from './termination.ts';
import { startWatch } from './watch.ts';

const MIB = 1 << 20;
const LIMITS = { firstOutput: 10, inactivity: 30, boot: 100, readRate: MIB };
/** A clock that no host stops. */
const clock = { now: () => performance.now(), update: async () => {} };
const WORK = { write: 100 * MIB, read: 100 * MIB };
beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

/** A QEMU whose disks have done `requests()` requests, and written and read that many bytes. */
const qemu = (requests: () => number, written = () => 1, read = () => 1): Qmp => ({
  execute: async () => [
    {
      'node-name': 'm',
      stats: {
        rd_operations: 0,
        wr_operations: requests(),
        rd_bytes: read(),
        wr_bytes: written(),
      },
    },
  ],
  close: () => {},
});

test('a guest that prints nothing', async () => {
  const termination = createTermination(undefined);
  const watch = startWatch(termination, clock, LIMITS, () => {});
  await vi.advanceTimersByTimeAsync(9_900);
  expect(termination.cause).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(termination.cause).toEqual({ kind: 'silence', seconds: 10 });
  watch.stop();
});

test('a guest that stops working, with QEMU still answering', async () => {
  const termination = createTermination(undefined);
  const watch = startWatch(termination, clock, LIMITS, () => {});
  watch.touch();
  watch.follow(qemu(() => 7));
  await vi.advanceTimersByTimeAsync(29_000);
  expect(termination.cause).toBeUndefined();
  await vi.advanceTimersByTimeAsync(2_500);
  expect(termination.cause?.kind).toBe('inactivity');
  watch.stop();
});

test('disk requests alone keep a boot alive, but not past its limit', async () => {
  const termination = createTermination(undefined);
  let requests = 0;
  const seen: number[] = [];
  const watch = startWatch(termination, clock, LIMITS, (activity) => seen.push(activity.requests));
  watch.touch();
  watch.follow(qemu(() => requests++));
  await vi.advanceTimersByTimeAsync(99_000);
  expect(termination.cause).toBeUndefined();
  expect(seen.length).toBeGreaterThan(150);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(termination.cause).toEqual({ kind: 'boot', seconds: 100 });
  watch.stop();
});

/** Seconds after which the watch ends an unpack, at most 2,000, and why. */
async function unpackFor(written: (s: number) => number, read: (s: number) => number) {
  const termination = createTermination(undefined);
  const watch = startWatch(termination, clock, LIMITS, () => {});
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let requests = 0;
  watch.touch();
  watch.follow(
    qemu(
      () => requests++,
      () => written(seconds()),
      () => read(seconds()),
    ),
  );
  watch.unpacking(WORK);
  while (seconds() < 2000 && termination.cause === undefined) {
    await vi.advanceTimersByTimeAsync(1000);
    watch.touch(); // it prints, too
  }
  watch.stop();
  return { seconds: seconds(), kind: termination.cause?.kind };
}

test('an unpack has no limit as long as written bytes move', async () => {
  const slow = await unpackFor(
    (s) => Math.floor(s / 25) * MIB,
    () => 0,
  );
  expect(slow).toMatchObject({ kind: undefined });
  const stuck = await unpackFor(
    (s) => Math.min(s, 500) * 1000,
    () => 0,
  );
  expect(stuck).toEqual({ kind: 'stuck', seconds: expect.closeTo(531, -1) });
});

test('reading counts at a rate and up to an amount, writing in circles does not', async () => {
  const prefetch = await unpackFor(
    (s) => Math.max(0, s - 90) * MIB,
    (s) => Math.min(s, 90) * 1.1 * MIB,
  );
  expect(prefetch.kind).toBe('stuck');
  expect(prefetch.seconds).toBeGreaterThan(390); // when it has written three times the disk
  const drops = await unpackFor(
    () => 0,
    (s) => s * 1000,
  );
  expect(drops).toEqual({ kind: 'stuck', seconds: expect.closeTo(31, -1) });
  const spins = await unpackFor(
    () => 0,
    (s) => s * 2 * MIB,
  );
  expect(spins).toEqual({ kind: 'stuck', seconds: expect.closeTo(131, -1) });
});

test('an invalid answer ends the run', async () => {
  const termination = createTermination(undefined);
  const watch = startWatch(termination, clock, LIMITS, () => {});
  watch.follow({ execute: async () => [{ stats: 7 }], close: () => {} });
  await vi.advanceTimersByTimeAsync(1000);
  expect(termination.cause?.kind).toBe('qmp');
  watch.stop();
});

test('the clock stands still while the host gives no processor', async () => {
  let waited = 0;
  const guest = createGuestClock(
    async () =>
      new Map([
        ['1', 0],
        ['2', waited * 1e9],
      ]),
  );
  await guest.update();
  const started = guest.now();
  await vi.advanceTimersByTimeAsync(10_000);
  waited = 7;
  await guest.update();
  expect(guest.now() - started).toBeCloseTo(3000, -1);
  await vi.advanceTimersByTimeAsync(1000);
  waited = 100; // no longer than it took
  await guest.update();
  expect(guest.now() - started).toBeCloseTo(3000, -1);
});

test('reads how long a thread of this process has waited', async () => {
  vi.useRealTimers();
  const waits = await threadWaits(process.pid);
  expect(waits.size).toBeGreaterThan(0);
  expect(await threadWaits(2 ** 30)).toEqual(new Map());
});
