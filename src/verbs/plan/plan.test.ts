import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { schemaErrors } from '../../../test/support/schema.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../../test/support/synthetic-bundle.ts';
import { takeShard } from '../../bundle/shard.ts';
import type { WorkPlan } from './plan.ts';

test('every item is in exactly one shard, in order, and shards are about equal', () => {
  const weights = fc.array(fc.nat({ max: 1e12 }), { maxLength: 60 });
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 20 }), (list, of) => {
      const items = list.map((weight, item) => ({ item, weight }));
      const shards = Array.from({ length: of }, (_, i) => takeShard(items, { index: i + 1, of }));
      expect(shards.flat()).toEqual(items.map(({ item }) => item));
      const total = list.reduce((sum, weight) => sum + weight, 0);
      const most = Math.max(0, ...list);
      for (const shard of shards) {
        const weight = shard.reduce((sum, item) => sum + (list[item] ?? 0), 0);
        // A share, an item that hangs over at each end, and what items count at least.
        expect(weight).toBeLessThanOrEqual((total / of) * 1.1 + most + list.length);
      }
    }),
  );
});

test('a plan covers everything once, by its schema; jobs agree with it', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path, { arches: ['x86_64', 's390x'] });
  const { code, stdout } = await cli(['plan', '-b', bundle.path, '-n', '3', '--json']);
  expect(code).toBe(0);
  const plan: WorkPlan = JSON.parse(stdout.toString());
  expect(schemaErrors('plan', plan)).toEqual([]);
  expect(plan.shards.map(({ shard }) => shard)).toEqual(['1/3', '2/3', '3/3']);
  for (const architecture of ['x86_64', 's390x']) {
    const mine = plan.units.filter((unit) => unit.architecture === architecture);
    expect(mine.flatMap(({ artifacts }) => artifacts)).toEqual([
      ...['metal/iso', 'metal/pxe/kernel', 'metal/pxe/initramfs', 'metal/raw', 'qemu'],
    ]);
    expect(mine.flatMap(({ uncovered }) => uncovered)).toEqual(['aws']);
  }
  const all = bundle.recipes.artifacts.reduce((sum, { size }) => sum + size, 0);
  expect(plan.shards.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(2 * all);
  const text = await cli(['plan', '-b', bundle.path, '-n', '3']);
  expect(text.stdout.toString()).toContain('aws (uncovered)');
  // An equal share of the effort, but for an artifact that hangs over at either end.
  const efforts = plan.shards.map(({ effort }) => effort);
  const whole = efforts.reduce((sum, effort) => sum + effort, 0);
  expect(plan.units.reduce((sum, { effort }) => sum + effort, 0)).toBe(whole);
  const largest = Math.max(...bundle.recipes.artifacts.map(({ size }) => size));
  for (const effort of efforts) expect(effort).toBeLessThanOrEqual(1.1 * (whole / 3) + largest);
  // What each job takes, in a line of its own: the cut is by these.
  const [, totals = ''] = text.stdout.toString().split(/^JOB .*\n/m);
  const lines = totals.trim().split('\n');
  expect(lines.map((line) => line.split(/\s+/)[0])).toEqual(['1/3', '2/3', '3/3']);
  const counts = plan.shards.map(({ artifacts }) => artifacts);
  expect(lines.map((line) => Number(line.split(/\s+/).at(-1)))).toEqual(counts);
});

test('rehydrate --shard: the parts make up the whole, without overlap', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const names: string[] = [];
  for (const shard of ['1/3', '2/3', '3/3']) {
    const out = join(folder.path, shard.replace('/', '-'));
    const argv = ['-p', 'metal/iso,metal/pxe', '-b', bundle.path, '-o', `${out}/`, '--no-cache'];
    expect(await cli([...argv, '--shard', shard])).toMatchObject({ code: 0 });
    names.push(...(await readdir(out).catch(() => [])));
  }
  expect(names.sort()).toEqual(['live-initramfs', 'live-kernel', 'live.iso']);
});

test('results for machines name the file as installers take it', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const argv = ['-p', 'metal/iso', '-b', bundle.path, '-o', join(folder.path, 'x.iso'), '--json'];
  const { stdout } = await cli([...argv, '--no-cache']);
  const result = JSON.parse(stdout.toString());
  expect(result).toMatchObject({
    type: 'result',
    path: join(folder.path, 'x.iso'),
    size: bundle.iso.length,
    reference: `live.iso?sha256=${bundle.recipes.iso.sha256}`,
  });
  expect(await readFile(result.path)).toEqual(bundle.iso);
});
