import { mkdir, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { wrongAnswers } from './ask.ts';
import { KINDS, type Kind, type Point, type Run, type RunRequest } from './messages.ts';
import type { Runner } from './process.ts';
import type { Places, Scenario } from './scenarios.ts';
import { strangers, treeOf } from './tree.ts';
import type { World } from './worlds.ts';

const { EIO, ENOSPC, EMFILE, EACCES, EFBIG } = constants.errno;

/** How calls of a kind fail, and what real failure each stands for. */
const ERRORS: Readonly<Record<Kind, readonly number[]>> = {
  open: [EMFILE, EACCES],
  read: [EIO],
  write: [ENOSPC, EIO],
  fsync: [EIO],
  truncate: [EFBIG],
  rename: [EIO],
  mkdir: [ENOSPC],
  link: [EACCES],
  unlink: [EACCES],
  list: [EIO],
  stat: [EIO],
};

export interface SweepOptions {
  readonly runner: Runner;
  readonly root: string;
  /** How many calls of each kind to fail in each scenario; all, if there are no more than that. */
  readonly perKind: number;
  /** Whether a run must remove what an earlier one could not. */
  readonly reclaims: boolean;
  readonly kinds?: readonly Kind[] | undefined;
  readonly onPoint?: ((text: string) => void) | undefined;
  readonly onFault?: ((text: string) => void) | undefined;
}

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

/** Fails the calls of a scenario, one after the other, and checks the outcome. */
export async function sweep(scenario: Scenario, options: SweepOptions): Promise<SweepResult> {
  const { runner, root, perKind, kinds = KINDS, onPoint, onFault } = options;
  const places = placesIn(root);
  await using world = await scenario.world?.(places);
  const request = requestOf(scenario, places, world);
  const faults: string[] = [];
  const { clean, expected } = await cleanRun(scenario, runner, request, places, world);
  const done = doneOf(scenario);
  const input = treeOf(places.input);
  let points = 0;
  let survived = 0;
  for (const point of pointsOf(clean, perKind, kinds)) {
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
    for (const problem of judge(scenario, run, snapshot(places, world), expected, point)) {
      complain(`${problem} (${run.hit.replace(root, '')})`);
    }
    for (const path of wrongAnswers(run.answers, clean.answers)) complain(`serves a wrong ${path}`);
    const argv = run.code === done ? scenario.again?.(places, world?.url ?? '') : undefined;
    const again = await runner.run(argv ? { ...request, argv } : request);
    if (typeof again === 'string' || again.code !== done) {
      complain(
        `and then it fails without a fault: ${typeof again === 'string' ? again : again.stderr.slice(-500)}`,
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
  const changed = [
    ...strangers(treeOf(places.input), input),
    ...strangers(input, treeOf(places.input)),
  ];
  if (changed.length > 0)
    faults.push(`${scenario.name} has changed its input: ${changed.join(', ')}`);
  return { calls: clean.counts, points, survived, faults };
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

/** Problems after the run that follows. */
export function judgeNext(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
  reclaims: boolean,
): string[] {
  const left = leftovers(strangers(found, expected), reclaims);
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

/** Files that the next run should have removed. */
export function leftovers(names: readonly string[], reclaims: boolean): readonly string[] {
  return reclaims ? names : names.filter((name) => !isScratch(name));
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
    const total = clean.counts[kind] ?? 0;
    for (const [index, errno] of ERRORS[kind].entries()) {
      for (const nth of sample(total, perKind)) {
        // A full disk stays full, and so does a full table of open files.
        yield { kind, nth, errno, sticky: index === 0 && (kind === 'write' || kind === 'open') };
      }
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

/** Everything that a run may have written. The records of runs contain times. */
export function snapshot(places: Places, world: World | undefined): Map<string, string> {
  const named = (name: string, tree: Map<string, string>) =>
    [...tree].map(([path, sha256]): [string, string] => [
      `${name}/${path}`,
      path.startsWith('runs/') ? '' : sha256,
    ]);
  return new Map([
    ...named('output', treeOf(places.output)),
    ...named('cache', treeOf(places.cache)),
    ...named('tmp', treeOf(places.temporary)),
    ...named('world', world?.state() ?? new Map()),
  ]);
}
