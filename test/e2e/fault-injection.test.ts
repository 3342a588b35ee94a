import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Lanes, openLanes } from '../faults/lanes.ts';
import { SCENARIOS } from '../faults/scenarios.ts';
import { sample } from '../faults/sweep.ts';

/** The whole sweep, of every call, is `npm run faults`; this is a sample of it that takes minutes. */
const LIGHT = { perKind: 4, kills: 10 };
/** Each run of these takes a second. */
const HEAVY = { perKind: 2, kills: 6 };

/** Milliseconds; a busy machine needs ten times what an idle one does. */
const TIMEOUT = 3_600_000;

let lanes: Lanes;
beforeAll(async () => {
  lanes = await openLanes();
}, TIMEOUT);
afterAll(() => lanes[Symbol.asyncDispose]());

describe.each(SCENARIOS)('$name', (scenario) => {
  const effort = scenario.heavy ? HEAVY : LIGHT;

  test('whichever call fails: the right output or an error, and the next run makes it good', {
    timeout: TIMEOUT,
  }, async () => {
    const { calls, points, faults } = await lanes.sweep(scenario, effort);
    expect(faults).toEqual([]);
    // The preloaded library sees the program's calls.
    const writes = scenario.name === 'push' ? [] : ['write', 'fsync'];
    for (const kind of ['open', 'read', 'stat', ...writes]) {
      expect(calls[kind], kind).toBeGreaterThan(0);
    }
    expect(points).toBeGreaterThan(7);
  });

  test('whenever it is killed: no wrong file, and the next run makes it good', {
    timeout: TIMEOUT,
  }, async () => {
    const { kills, faults } = await lanes.kill(scenario, effort);
    expect(faults).toEqual([]);
    expect(kills).toBeGreaterThan(0);
  });
});

test('a sample has both ends', () => {
  expect(sample(3, 5)).toEqual([1, 2, 3]);
  expect(sample(1000, 8)).toHaveLength(8);
  expect(sample(1000, 8)).toEqual(expect.arrayContaining([1, 2, 999, 1000]));
  expect(sample(10, Number.POSITIVE_INFINITY)).toHaveLength(10);
});
