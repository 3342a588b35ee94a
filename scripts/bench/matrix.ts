import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import type { Arch } from '../../src/core/arch.ts';
import { measure } from './measure.ts';
import { seconds, table } from './table.ts';

const Result = v.object({
  platform: v.string(),
  format: v.string(),
  sha256: v.string(),
  seconds: v.number(),
});

export interface MatrixInputs {
  /** The command that runs the program, in words. */
  readonly cli: readonly string[];
  /** A bundle of all selected architectures. */
  readonly bundle: string;
  /** The native engine first makes the disks that are missing in it, outside of the measured time. */
  readonly cache: string;
  readonly work: string;
}

/**
 * Makes every artifact of each architecture, one after the other, from metal disks in the cache. Returns a
 * table of the time that each took: patching, encoding, hashing and writing, which are one pass.
 */
export async function matrix(arches: readonly Arch[], inputs: MatrixInputs): Promise<string> {
  /** By platform and container, by architecture. */
  const cells = new Map<string, Map<Arch, number>>();
  for (const arch of arches) {
    for (const { platform, format, seconds } of await makeAll(arch, inputs)) {
      const row = `${platform} ${format.replace(/(?<!tar)\.(xz|gz|zst|zip)$/, '')}`;
      const found = cells.get(row) ?? new Map<Arch, number>();
      // The three files of PXE are one row.
      cells.set(row, found.set(arch, (found.get(arch) ?? 0) + seconds));
    }
  }
  const rows = [...cells].map(([row, times]) => [
    ...row.split(' '),
    ...arches.map((arch) => (times.has(arch) ? seconds(times.get(arch)) : '')),
  ]);
  const metalFirst = (row: readonly string[]) => `${row[0] === 'metal' ? 0 : 1}${row.join(' ')}`;
  rows.sort((a, b) => (metalFirst(a) < metalFirst(b) ? -1 : 1));
  return table(['platform', 'container', ...arches], rows);
}

async function makeAll(arch: Arch, { cli, bundle, cache, work }: MatrixInputs) {
  const out = join(work, `out-${arch}`);
  const { stdout } = await measure([
    ...cli,
    ...['--bundle', bundle, '--arch', arch, '--platform', 'all', '--format', 'all'],
    ...['--engine', 'native', '--cache-dir', cache, '--output', `${out}/`, '--json'],
  ]);
  await rm(out, { recursive: true });
  return stdout.split('\n').map((line) => v.parse(Result, JSON.parse(line)));
}
