import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { type Answers, askAll, urlIn, wrongAnswers } from './ask.ts';
import { environmentOf, type Runner } from './process.ts';
import type { Scenario } from './scenarios.ts';
import {
  cleanRun,
  doneOf,
  judgeNext,
  placesIn,
  renew,
  requestOf,
  sample,
  snapshot,
} from './sweep.ts';
import { strangers } from './tree.ts';

const BIN = join(import.meta.dirname, '../../dist/src/cli/bin.js');

export interface KillOptions {
  readonly runner: Runner;
  readonly library: string;
  readonly root: string;
  /** How many calls to kill the program at; all of them, if it makes no more than that. */
  readonly count: number;
  /** Whether the next run must remove leftovers. */
  readonly reclaims: boolean;
  readonly onFault?: ((text: string) => void) | undefined;
}

export interface KillResult {
  readonly steps: number;
  readonly kills: number;
  readonly faults: readonly string[];
}

/** Kills the program (SIGKILL) before its n-th call, and checks what it leaves behind and how the next run fares. */
export async function killAtSteps(scenario: Scenario, options: KillOptions): Promise<KillResult> {
  const { runner, library, root, count, onFault } = options;
  const places = placesIn(root);
  await using world = await scenario.world?.(places);
  const request = requestOf(scenario, places, world);
  const faults: string[] = [];
  const { clean, expected } = await cleanRun(scenario, runner, request, places, world);
  let kills = 0;
  for (const step of sample(clean.steps, count)) {
    const complain = (problem: string) => {
      faults.push(`${scenario.name}, killed at ${step}: ${problem}`);
      onFault?.(`${scenario.name}, killed at ${step}: ${problem}`);
    };
    await renew(places, world);
    const env = { ...environmentOf(library), ...request.env };
    const child = execa(process.execPath, [BIN, ...request.argv], {
      env: { ...env, FAULTS_ROOT: root, FAULTS_KILL: `${step}` },
      reject: false,
    });
    const asked = askWhenReady(child, scenario);
    const killed = await child;
    const answers = await asked;
    if (killed.signal !== 'SIGKILL') continue; // the calls of two runs differ slightly
    kills++;
    for (const path of wrongAnswers(answers, clean.answers)) complain(`served a wrong ${path}`);
    const wrong = strangers(snapshot(places, world), expected).filter(
      (name) => !isHidden(name) && !scenario.keeps?.test(name),
    );
    if (wrong.length > 0) complain(`leaves ${wrong.join(', ')}`);
    let again = await runner.run(request);
    // It was killed after its output was complete.
    if (typeof again !== 'string' && again.code !== doneOf(scenario) && scenario.again) {
      again = await runner.run({ ...request, argv: scenario.again(places, world?.url ?? '') });
    }
    if (typeof again === 'string' || again.code !== doneOf(scenario)) {
      complain(
        `the next run fails: ${typeof again === 'string' ? again : again.stderr.slice(-500)}`,
      );
      continue;
    }
    for (const problem of judgeNext(snapshot(places, world), expected, options.reclaims)) {
      complain(problem);
    }
    if (JSON.stringify(again.answers) !== JSON.stringify(clean.answers)) {
      complain(`the next run answers ${JSON.stringify(again.answers)}`);
    }
  }
  return { steps: clean.steps, kills, faults };
}

interface Child extends PromiseLike<unknown> {
  readonly stdout: Readable;
  kill(signal: NodeJS.Signals): boolean;
}

/** Asks a server for its files once it listens, and then stops it. */
async function askWhenReady(child: Child, { paths }: Scenario): Promise<Answers> {
  if (paths === undefined) return {};
  let stdout = '';
  const url = await new Promise<string | undefined>((resolve) => {
    child.stdout?.on('data', (chunk) => {
      stdout += chunk;
      const found = urlIn(stdout);
      if (found) resolve(found);
    });
    child.then(() => resolve(undefined));
  });
  if (url === undefined) return {};
  const answers = await askAll(url, paths);
  child.kill('SIGTERM');
  return answers;
}

/** Scratch, by its name: it cannot be mistaken for an output. */
const isHidden = (name: string) =>
  /(^|\/)\.iso-rehydrate-|^cache\/(work-|\w+\/$)|^tmp\/|\.part$/.test(name);
