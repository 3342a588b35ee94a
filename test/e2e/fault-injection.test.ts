import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { killAtSteps } from '../faults/kill.ts';
import { buildLibrary, createRunner, type Runner } from '../faults/process.ts';
import { SCENARIOS, type Scenario, writeInput } from '../faults/scenarios.ts';
import { placesIn, sample, sweep } from '../faults/sweep.ts';

/** The whole sweep, of every call, is `npm run faults`; this is a sample of it that takes minutes. */
const LIGHT = { perKind: 2, kills: 5 };
/** Each run of these takes seconds. */
const HEAVY = { perKind: 1, kills: 3 };
const effortOf = ({ heavy }: Scenario) => (heavy ? HEAVY : LIGHT);

/** What one run leaves, the next takes away. */
const RECLAIMS = true;

/** Milliseconds; a busy machine needs ten times what an idle one does. */
const TIMEOUT = 3_600_000;

let folder: string;
let library: string;
let runner: Runner;
const root = () => join(folder, 'root');
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'faults-'));
  library = await buildLibrary(folder);
  runner = createRunner(library);
  await writeInput(placesIn(root()), runner);
});
afterAll(async () => {
  runner[Symbol.dispose]();
  await rm(folder, { recursive: true, force: true });
});

describe.each(SCENARIOS)('$name', (scenario) => {
  test('whichever call fails: the right output or an error, and the next run makes it good', {
    timeout: TIMEOUT,
  }, async () => {
    const { calls, points, faults } = await sweep(scenario, {
      ...{ runner, root: root(), reclaims: RECLAIMS, perKind: effortOf(scenario).perKind },
    });
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
    const { kills, faults } = await killAtSteps(scenario, {
      ...{ runner, library, root: root(), reclaims: RECLAIMS, count: effortOf(scenario).kills },
    });
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
