import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { roundTrip } from '../../../test/support/released.ts';
import { noise } from '../../../test/support/synthetic-bundle.ts';
import { requirementOf } from './layer.ts';

/** Something of everything: machine code, text, noise, zeros. */
const SAMPLE = Buffer.concat([
  golden('iso/live.iso').subarray(0, 1_000_000),
  Buffer.alloc(300_000, 'text that compresses well, though not too well '),
  noise(100_000, 's'),
  Buffer.alloc(1_000_000),
  Buffer.from(JSON.stringify(Array.from({ length: 30_000 }, (_, i) => (i * i) % 9973))),
]);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'released-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gzip of GNU', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9])('-%i, with a name and a time', async (level) => {
    const path = join(folder, 'image.raw');
    writeFileSync(path, SAMPLE);
    const file = execFileSync('gzip', ['-c', `-${level}`, path], { maxBuffer: 1 << 28 });
    const layer = await roundTrip(file, 'gz', SAMPLE);
    expect(layer).toMatchObject({ deflater: { implementation: 'gzip', level } });
    expect(requirementOf(layer)).toBe('gzip');
  });
});

describe("Info-ZIP's zip", () => {
  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])('-%i', async (level) => {
    const path = join(folder, `zipped-${level}`);
    writeFileSync(path, SAMPLE);
    execFileSync('zip', ['-q', `-${level}`, `${path}.zip`, path]);
    await roundTrip(readFileSync(`${path}.zip`), 'zip', SAMPLE);
  });

  test('of a pipe', async () => {
    const file = execFileSync('zip', ['-q', '-', '-'], { input: SAMPLE, maxBuffer: 1 << 28 });
    await roundTrip(file, 'zip', SAMPLE);
  });
});
