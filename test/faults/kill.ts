import { join } from 'node:path';
import { execa } from 'execa';
import { environmentOf, type Runner } from './process.ts';
import type { Scenario } from './scenarios.ts';
import { leftovers, placesIn, renew, sample, snapshot } from './sweep.ts';
import { strangers } from './tree.ts';

const BIN = join(import.meta.dirname, '../../dist/src/cli/bin.js');

export interface KillOptions {
  readonly runner: Runner;
  readonly library: string;
  readonly root: string;
  /** Runs that are killed; all of the program's calls if there are no more than that. */
  readonly count: number;
  /** Whether the next run has to take away what is left. */
  readonly reclaims: boolean;
  readonly onFault?: ((text: string) => void) | undefined;
}

export interface KillResult {
  readonly steps: number;
  readonly kills: number;
  readonly faults: readonly string[];
}

/** Kills the program (SIGKILL) before its n-th call, and looks at what is there, and what the next run makes of it. */
export async function killAtSteps(scenario: Scenario, options: KillOptions): Promise<KillResult> {
  const { runner, library, root, count, onFault } = options;
  const places = placesIn(root);
  const request = { argv: scenario.argv(places), env: { TMPDIR: places.temporary }, root };
  const faults: string[] = [];
  await renew(places);
  const clean = await runner.run(request);
  if (typeof clean === 'string' || clean.code !== 0) {
    throw new Error(`${scenario.name} fails without a fault: ${JSON.stringify(clean)}`);
  }
  const expected = snapshot(places);
  let kills = 0;
  for (const step of sample(clean.steps, count)) {
    const complain = (problem: string) => {
      faults.push(`${scenario.name}, killed at ${step}: ${problem}`);
      onFault?.(`${scenario.name}, killed at ${step}: ${problem}`);
    };
    await renew(places);
    const killed = await execa(process.execPath, [BIN, ...request.argv], {
      env: { ...environmentOf(library), ...request.env, FAULTS_ROOT: root, FAULTS_KILL: `${step}` },
      reject: false,
    });
    if (killed.signal !== 'SIGKILL') continue; // one run's calls are not quite another's
    kills++;
    const wrong = strangers(snapshot(places), expected).filter((name) => !isHidden(name));
    if (wrong.length > 0) complain(`leaves ${wrong.join(', ')}`);
    const again = await runner.run(
      scenario.again ? { ...request, argv: scenario.again(places) } : request,
    );
    if (typeof again === 'string' || again.code !== 0) {
      complain(
        `the next run fails: ${typeof again === 'string' ? again : again.stderr.slice(-500)}`,
      );
      continue;
    }
    const left = leftovers(strangers(snapshot(places), expected), options.reclaims);
    if (left.length > 0) complain(`the next run leaves ${left.join(', ')}`);
    const lacking = strangers(expected, snapshot(places));
    if (lacking.length > 0) complain(`the next run does not make ${lacking.join(', ')}`);
  }
  return { steps: clean.steps, kills, faults };
}

/** Scratch, by its name: nobody takes it for an output. */
const isHidden = (name: string) =>
  /(^|\/)\.iso-rehydrate-|^cache\/(work-|metal\/$|runs\/$)|^tmp\/|\.part$/.test(name);
