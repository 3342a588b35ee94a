import { spawnSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import { placeReadAhead, startReadAhead } from './read-ahead.ts';

const MIB = 2 ** 20;

/** The script's own text, as the guest would have it. */
const script = spawnSync('sh', ['-c', placeReadAhead().replace(/>\S+$/, '')], {
  encoding: 'utf8',
}).stdout;

test('the script is sound shell and fits a line', () => {
  expect(spawnSync('sh', ['-n'], { input: script }).status).toBe(0);
  expect(placeReadAhead().length).toBeLessThan(3000);
  expect(startReadAhead('"$d"', '$i')).toMatch(/ "\$d" \$i >\/dev\/null 2>&1 &$/);
});

/** Runs the script on a disk of `size` MiB whose writer, this very process, stands at `position`. */
async function stepsOf(size: number, position: number) {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'disk');
  await using disk = await open(path, 'a');
  await disk.truncate(position * MIB - 1);
  await disk.write('x');
  const fakes = [
    `blockdev() { [ "$1" != --getsize64 ] || echo ${size * MIB}; }`,
    'dd() { echo "$4 $5"; }',
    'sleep() { echo waits; exit 0; }',
  ].join('\n');
  const args = ['-c', `${fakes}\n${script}`, 'sh', path, `${process.pid}`];
  const { stdout, status } = spawnSync('sh', args, { encoding: 'utf8', timeout: 20_000 });
  expect(status).toBe(0);
  return stdout.trim().split('\n');
}

test('reads in steps from where the writer is, no further than the window, then waits', async () => {
  expect(await stepsOf(1024, 100)).toEqual([
    ...[100, 164, 228, 292].map((from) => `skip=${from} count=64`),
    'waits',
  ]);
});

test('ends at the end of the disk, and with the writer', async () => {
  expect(await stepsOf(200, 100)).toEqual([100, 164].map((from) => `skip=${from} count=64`));
  const gone = spawnSync('sh', ['-c', script, 'sh', '/dev/null', '99999999'], { timeout: 20_000 });
  expect(gone.status).toBe(0);
});
