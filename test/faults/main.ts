import process from 'node:process';
import { parseArgs } from 'node:util';
import { type Effort, openLanes } from './lanes.ts';
import { KINDS, type Kind } from './messages.ts';
import { SCENARIOS } from './scenarios.ts';

/** `npm run faults`: fails every call of every scenario once. Prints the counts for docs/measurements.md. */
const { values } = parseArgs({
  options: {
    'per-kind': { type: 'string', default: 'all' },
    kills: { type: 'string', default: 'all' },
    only: { type: 'string' },
    kinds: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
const numberOf = (text: string) => (text === 'all' ? Number.POSITIVE_INFINITY : Number(text));
const kinds = values.kinds?.split(',').filter((kind): kind is Kind => KINDS.includes(kind as Kind));
const effort: Effort = {
  perKind: numberOf(values['per-kind']),
  // Calls of some kinds only are about failures, not kills.
  kills: kinds ? 0 : numberOf(values.kills),
  kinds,
  onPoint: values.verbose ? (text) => process.stderr.write(`${text}\n`) : undefined,
  onFault: (text) => process.stderr.write(`WRONG ${text}\n`),
};
await using lanes = await openLanes();
const columns = [...KINDS, 'faults tried', 'survived', 'kills', 'wrong', 'seconds'];
process.stdout.write(`| scenario | ${columns.join(' | ')} |\n`);
process.stdout.write(`|---|${'---:|'.repeat(columns.length)}\n`);
let wrong = 0;
for (const scenario of SCENARIOS.filter(({ name }) => !values.only || name === values.only)) {
  const started = performance.now();
  const swept = await lanes.sweep(scenario, effort);
  const killed = effort.kills > 0 ? await lanes.kill(scenario, effort) : undefined;
  const faults = swept.faults.length + (killed?.faults.length ?? 0);
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const calls = KINDS.map((kind) => swept.calls[kind] ?? 0);
  const cells = [...calls, swept.points, swept.survived, killed?.kills ?? 0, faults, seconds];
  process.stdout.write(`| ${scenario.name} | ${cells.join(' | ')} |\n`);
  wrong += faults;
}
process.exitCode = wrong === 0 ? 0 : 1;
