import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { execa } from 'execa';
import { type Answers, askAll, urlIn, wrongAnswers } from './ask.ts';
import type { Effort, Lane } from './lanes.ts';
import { environmentOf } from './process.ts';
import type { Scenario } from './scenarios.ts';
import {
  cleanRun,
  followUp,
  placesIn,
  renew,
  requestOf,
  sample,
  shareOf,
  snapshot,
} from './sweep.ts';
import { strangers } from './tree.ts';

const BIN = join(import.meta.dirname, '../../dist/src/cli/bin.js');

export interface KillResult {
  readonly steps: number;
  readonly kills: number;
  readonly faults: readonly string[];
}

/**
 * Kills the program (SIGKILL) before its n-th call that changes something on disk, or before its n-th call if it
 * changes nothing, and checks what it leaves behind and how the next run fares.
 */
export async function killAtSteps(
  scenario: Scenario,
  lane: Lane,
  { kills: count, onFault }: Effort,
): Promise<KillResult> {
  const { runner, library, root } = lane;
  const places = placesIn(root);
  await using world = await scenario.world?.(places);
  const request = requestOf(scenario, places, world);
  const faults: string[] = [];
  const { clean, expected } = await cleanRun(scenario, runner, request, places, world);
  const followed = { scenario, lane, places, world, clean, expected };
  const steps = clean.changes > 0 ? clean.changes : clean.steps;
  const environment = {
    ...environmentOf(library, lane.index),
    ...request.env,
    ...(clean.changes > 0 ? { FAULTS_KILL_CHANGES: '1' } : {}),
    NODE_COMPILE_CACHE: join(root, '../compiled'),
  };
  let kills = 0;
  for (const step of shareOf(sample(steps, count), lane)) {
    const complain = (problem: string) => {
      faults.push(`${scenario.name}, killed at ${step}: ${problem}`);
      onFault?.(`${scenario.name}, killed at ${step}: ${problem}`);
    };
    await renew(places, world);
    const child = execa(process.execPath, [BIN, ...request.argv], {
      env: { ...environment, FAULTS_ROOT: root, FAULTS_KILL: `${step}` },
      reject: false,
    });
    const asked = askWhenReady(child, scenario);
    const killed = await child;
    const answers = await asked;
    if (killed.signal !== 'SIGKILL') continue; // the calls of two runs differ slightly
    kills++;
    for (const path of wrongAnswers(answers, clean.answers)) complain(`served a wrong ${path}`);
    const found = snapshot(places, world);
    const wrong = strangers(found, expected).filter(
      (name) => !isHidden(name) && !scenario.keeps?.test(name),
    );
    if (wrong.length > 0) complain(`leaves ${wrong.join(', ')}`);
    for (const problem of await followUp(found, followed, 'killed')) complain(problem);
  }
  return { steps, kills, faults };
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
