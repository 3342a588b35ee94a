import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { killAtSteps } from './kill.ts';
import { KINDS, type Kind } from './messages.ts';
import { buildLibrary, createRunner } from './process.ts';
import { SCENARIOS, writeInput } from './scenarios.ts';
import { placesIn, sweep } from './sweep.ts';

/** `npm run faults`: fails every call of every scenario once. Prints the counts for docs/measurements.md.
 * `--allow-scratch`: accept scratch that the next run does not remove. */
const { values } = parseArgs({
  options: {
    'per-kind': { type: 'string', default: 'all' },
    only: { type: 'string' },
    kinds: { type: 'string' },
    'allow-scratch': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const folder = await mkdtemp(join(tmpdir(), 'faults-'));
let faults = 0;
try {
  const library = await buildLibrary(folder);
  using runner = createRunner(library);
  const root = join(folder, 'root');
  await writeInput(placesIn(root), runner);
  const perKind =
    values['per-kind'] === 'all' ? Number.POSITIVE_INFINITY : Number(values['per-kind']);
  const kinds = values.kinds
    ?.split(',')
    .filter((kind): kind is Kind => KINDS.includes(kind as Kind));
  process.stdout.write(
    `| scenario | ${KINDS.join(' | ')} | faults tried | survived | wrong | seconds |\n`,
  );
  process.stdout.write(`|---|${'---:|'.repeat(KINDS.length + 4)}\n`);
  for (const scenario of SCENARIOS.filter(({ name }) => !values.only || name === values.only)) {
    const started = performance.now();
    const onPoint = values.verbose
      ? (text: string) => process.stderr.write(`${text}\n`)
      : undefined;
    const onFault = (text: string) => process.stderr.write(`WRONG ${text}\n`);
    const result = await sweep(scenario, {
      runner,
      root,
      perKind,
      reclaims: !values['allow-scratch'],
      kinds,
      onPoint,
      onFault,
    });
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    const calls = KINDS.map((kind) => result.calls[kind] ?? 0);
    const cells = [...calls, result.points, result.survived, result.faults.length, seconds];
    process.stdout.write(`| ${scenario.name} | ${cells.join(' | ')} |\n`);
    faults += result.faults.length;
    if (kinds !== undefined) continue;
    const count = Number.isFinite(perKind) ? perKind * KINDS.length : perKind;
    const killed = await killAtSteps(scenario, {
      runner,
      library,
      root,
      count,
      reclaims: !values['allow-scratch'],
      onFault,
    });
    process.stdout.write(
      `| ${scenario.name}, killed | ${killed.steps} calls, ${killed.kills} kills, ${killed.faults.length} wrong |\n`,
    );
    faults += killed.faults.length;
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = faults === 0 ? 0 : 1;
