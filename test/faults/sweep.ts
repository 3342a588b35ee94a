import { mkdir, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { wrongAnswers } from './ask.ts';
import type { Effort, Lane } from './lanes.ts';
import { KINDS, type Kind, type Point, type Run, type RunRequest } from './messages.ts';
import type { Runner } from './process.ts';
import type { Places, Scenario } from './scenarios.ts';
import { strangers, treeOf } from './tree.ts';
import type { World } from './worlds.ts';

const { EIO, ENOSPC, EDQUOT, EROFS, EMFILE, EACCES, EFBIG } = constants.errno;

/** How calls of a kind fail: the errors take turns from call to call. */
const ERRORS: Readonly<Record<Kind, readonly number[]>> = {
  open: [EACCES, EROFS],
  read: [EIO],
  write: [EIO, EDQUOT],
  fsync: [EIO, EDQUOT],
  truncate: [EFBIG, EDQUOT],
  rename: [EIO, EROFS],
  mkdir: [ENOSPC, EDQUOT, EROFS],
  link: [EACCES, EDQUOT],
  unlink: [EACCES, EROFS],
  list: [EIO],
  stat: [EIO],
};

/** A full disk stays full, and so does a full table of open files: each call fails in this way too. */
const LASTING: Partial<Record<Kind, number>> = { open: EMFILE, write: ENOSPC };

export interface SweepResult {
  /** Calls of each kind in a run without faults. */
  readonly calls: Readonly<Record<string, number>>;
  readonly points: number;
  /** Points at which the program succeeded in spite of the fault. */
  readonly survived: number;
  /** Problems, one line each. */
  readonly faults: readonly string[];
}

export function placesIn(root: string): Places {
  return {
    input: join(root, 'input'),
    output: join(root, 'output'),
    cache: join(root, 'cache'),
    temporary: join(root, 'tmp'),
  };
}

/** Fails a lane's share of the calls of a scenario, one after the other, and checks the outcome. */
export async function sweep(scenario: Scenario, lane: Lane, effort: Effort): Promise<SweepResult> {
  const { runner, root } = lane;
  const { perKind, kinds = KINDS, onPoint, onFault } = effort;
  const places = placesIn(root);
  await using world = await scenario.world?.(places);
  const request = requestOf(scenario, places, world);
  const faults: string[] = [];
  const { clean, expected } = await cleanRun(scenario, runner, request, places, world);
  const followed = { scenario, lane, places, world, clean, expected };
  const done = doneOf(scenario);
  const input = treeOf(places.input);
  let points = 0;
  let survived = 0;
  for (const point of shareOf([...pointsOf(clean, perKind, kinds)], lane)) {
    const name = `${scenario.name}, ${textOf(point)}`;
    onPoint?.(name);
    points++;
    await renew(places, world);
    const run = await runner.run({ ...request, point });
    const complain = (problem: string) => {
      faults.push(`${name}: ${problem}`);
      onFault?.(`${name}: ${problem}`);
    };
    if (typeof run === 'string') {
      complain(run);
      continue;
    }
    if (run.hits === 0) continue; // the calls of two runs differ slightly
    if (run.code === done) survived++;
    const found = snapshot(places, world);
    for (const problem of judge(scenario, run, found, expected, point)) {
      complain(`${problem} (${run.hit.replace(root, '')})`);
    }
    for (const path of wrongAnswers(run.answers, clean.answers)) complain(`serves a wrong ${path}`);
    const how = run.code === done ? 'done' : 'failed';
    for (const problem of await followUp(found, followed, how)) complain(problem);
  }
  const changed = [
    ...strangers(treeOf(places.input), input),
    ...strangers(input, treeOf(places.input)),
  ];
  if (changed.length > 0)
    faults.push(`${scenario.name} has changed its input: ${changed.join(', ')}`);
  return { calls: clean.counts, points, survived, faults };
}

/** The lanes take turns, each as fast as it can, through what the first of them lists: the calls of two runs differ slightly. */
export function* shareOf<T>(all: readonly T[], { shared }: Lane): Generator<T> {
  shared.all ??= all;
  for (;;) {
    const one = shared.all[shared.next++];
    if (one === undefined) return;
    yield one as T;
  }
}

interface Followed {
  readonly scenario: Scenario;
  readonly lane: Lane;
  readonly places: Places;
  readonly world: World | undefined;
  readonly clean: Run;
  readonly expected: ReadonlyMap<string, string>;
}

/**
 * Problems of the same run without a fault, where another one has ended as `how` says and left what is `found`. A
 * state that a run has begun in before is not tried again: what comes of it depends on nothing else.
 */
export function followUp(
  found: ReadonlyMap<string, string>,
  followed: Followed,
  how: 'done' | 'failed' | 'killed',
): Promise<readonly string[]> {
  const { proved } = followed.lane.shared;
  const key = JSON.stringify([how, [...found].map(([name, sha256]) => [nameless(name), sha256])]);
  const known = proved.get(key) ?? next(followed, how);
  proved.set(key, known);
  return known;
}

/** Temporary names are random. */
const nameless = (name: string) =>
  name.replace(/(\.iso-rehydrate-)[0-9a-f]{12}|((?:work|iso-rehydrate)-)\w{6}(?=\/|$)/, '$1$2*');

async function next(
  { scenario, lane, places, world, clean, expected }: Followed,
  how: 'done' | 'failed' | 'killed',
): Promise<readonly string[]> {
  const { runner } = lane;
  const request = requestOf(scenario, places, world);
  const done = doneOf(scenario);
  const replace = scenario.again && {
    ...request,
    argv: scenario.again(places, world?.url ?? ''),
  };
  let run = await runner.run(how === 'done' && replace ? replace : request);
  // It was killed after its output was complete.
  if (how === 'killed' && replace && typeof run !== 'string' && run.code !== done) {
    run = await runner.run(replace);
  }
  if (typeof run === 'string' || run.code !== done) {
    return [`the next run fails: ${typeof run === 'string' ? run : run.stderr.slice(-500)}`];
  }
  const problems = judgeNext(snapshot(places, world), expected);
  if (JSON.stringify(run.answers) !== JSON.stringify(clean.answers)) {
    problems.push(`the next run answers ${JSON.stringify(run.answers)}`);
  }
  return problems;
}

/** The exit code of a successful run; a server runs until it is stopped. */
export const doneOf = ({ paths }: Scenario): number => (paths ? 143 : 0);

export function requestOf(scenario: Scenario, places: Places, world: World | undefined) {
  const argv = scenario.argv(places, world?.url ?? '');
  const root = dirname(places.output);
  return { argv, env: { TMPDIR: places.temporary }, root, paths: scenario.paths };
}

/** A run without faults, and its output. */
export async function cleanRun(
  scenario: Scenario,
  runner: Runner,
  request: RunRequest,
  places: Places,
  world: World | undefined,
): Promise<{ clean: Run; expected: Map<string, string> }> {
  await renew(places, world);
  const clean = await runner.run(request);
  const wrong = (scenario.paths ?? []).some(
    (path) => typeof clean === 'string' || !/^[0-9a-f]{64}$/.test(clean.answers[path] ?? ''),
  );
  if (typeof clean === 'string' || clean.code !== doneOf(scenario) || wrong) {
    throw new Error(`${scenario.name} fails without a fault: ${JSON.stringify(clean)}`);
  }
  return { clean, expected: snapshot(places, world) };
}

/** Problems after the run that follows: it removes what the earlier one could not, and makes the rest. */
function judgeNext(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string[] {
  const left = strangers(found, expected);
  const lacking = strangers(expected, found);
  return [
    ...(left.length > 0 ? [`the next run leaves ${left.join(', ')}`] : []),
    ...(lacking.length > 0 ? [`the next run does not make ${lacking.join(', ')}`] : []),
  ];
}

/** Problems after a run with a fault. */
function judge(
  scenario: Scenario,
  run: Run,
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
  point: Point,
): string[] {
  const problems: string[] = [];
  const done = doneOf(scenario);
  if (run.code !== done && run.code !== 7) {
    problems.push(`ends with ${run.code}: ${run.stderr.slice(-600)}`);
  }
  if (run.code === 7 && !/^(error: .+ \[[A-Z_]+\]|\{"type":"error",.*)$/m.test(run.stderr)) {
    problems.push(`does not say what failed: ${run.stderr.slice(-300)}`);
  }
  // Empty folders of the cache do not matter.
  const wrong = strangers(found, expected).filter(
    (name) => !/^cache\/\w+\/$/.test(name) && !(run.code !== done && scenario.keeps?.test(name)),
  );
  // Scratch that could not be removed stays, under a name of its own; the next run must remove it.
  const excused = point.kind === 'unlink' || point.kind === 'list' || point.kind === 'stat';
  const bad = excused ? wrong.filter((name) => !isScratch(name)) : wrong;
  if (bad.length > 0) problems.push(`leaves ${bad.join(', ')}`);
  if (run.code === done) {
    const lacking = strangers(expected, found).filter((name) => /^(output|world)\//.test(name));
    if (lacking.length > 0) problems.push(`ends well without ${lacking.join(', ')}`);
  }
  if (run.open.length > 0) problems.push(`leaves open ${run.open.join(', ')}`);
  return problems;
}

const isScratch = (name: string) =>
  /(^|\/)\.?iso-rehydrate-|^cache\/work-|\.part$|^tmp\//.test(name);

/** Picks `count` of the numbers from 1 to `total`: the first and last ones, and some in between. */
export function sample(total: number, count: number): number[] {
  if (total <= count) return Array.from({ length: total }, (_, index) => index + 1);
  const chosen = new Set<number>();
  const ends = Math.floor(count / 4);
  for (let i = 1; i <= ends; i++) chosen.add(i).add(total + 1 - i);
  for (let i = 0; chosen.size < count && i < count; i++) {
    chosen.add(1 + Math.floor(((i + 0.5) * total) / count));
  }
  return [...chosen].sort((a, b) => a - b);
}

function* pointsOf(clean: Run, perKind: number, kinds: readonly Kind[]): Generator<Point> {
  for (const kind of kinds) {
    const errors = ERRORS[kind];
    for (const nth of sample(clean.counts[kind] ?? 0, perKind)) {
      yield { kind, nth, errno: errors[nth % errors.length] ?? EIO, sticky: false };
      const errno = LASTING[kind];
      if (errno !== undefined) yield { kind, nth, errno, sticky: true };
    }
  }
}

function textOf({ kind, nth, errno, sticky }: Point): string {
  const [error = ''] = Object.entries(constants.errno).find(([, value]) => value === errno) ?? [];
  return `${kind} ${nth}${sticky ? ' and all later' : ''}: ${error}`;
}

export async function renew(
  { output, cache, temporary }: Places,
  world: World | undefined,
): Promise<void> {
  world?.reset();
  for (const folder of [output, cache, temporary]) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
  }
}

/** Everything that a run may have written. */
export function snapshot(places: Places, world: World | undefined): Map<string, string> {
  const named = (name: string, tree: Map<string, string>) =>
    [...tree].map(([path, sha256]): [string, string] => [`${name}/${path}`, sha256]);
  return new Map([
    ...named('output', treeOf(places.output)),
    ...named('cache', treeOf(places.cache)),
    ...named('tmp', treeOf(places.temporary)),
    ...named('world', world?.state() ?? new Map()),
  ]);
}
