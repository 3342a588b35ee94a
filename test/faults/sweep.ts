import { mkdir, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { KINDS, type Kind, type Point, type Run } from './messages.ts';
import type { Runner } from './process.ts';
import type { Places, Scenario } from './scenarios.ts';
import { strangers, treeOf } from './tree.ts';

const { EIO, ENOSPC, EMFILE, EACCES, EFBIG } = constants.errno;

/** How calls of a kind fail: what each stands for in life. */
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
  /** Calls of each kind that fail, of each scenario; all if there are no more than that. */
  readonly perKind: number;
  /** Whether a run has to take away what an earlier one could not. */
  readonly reclaims: boolean;
  readonly kinds?: readonly Kind[] | undefined;
  readonly onPoint?: ((text: string) => void) | undefined;
  readonly onFault?: ((text: string) => void) | undefined;
}

export interface SweepResult {
  /** Calls of each kind in a run without faults. */
  readonly calls: Readonly<Record<string, number>>;
  readonly points: number;
  /** Of the points: the program came to its right end all the same. */
  readonly survived: number;
  /** What is wrong, a line for each. */
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

/** Fails one call after the other of a scenario, and looks at what comes of it. */
export async function sweep(scenario: Scenario, options: SweepOptions): Promise<SweepResult> {
  const { runner, root, perKind, kinds = KINDS, onPoint, onFault } = options;
  const places = placesIn(root);
  const request = { argv: scenario.argv(places), env: { TMPDIR: places.temporary }, root };
  const faults: string[] = [];

  await renew(places);
  const clean = await runner.run(request);
  if (typeof clean === 'string' || clean.code !== 0) {
    throw new Error(`${scenario.name} fails without a fault: ${JSON.stringify(clean)}`);
  }
  const expected = snapshot(places);
  const input = treeOf(places.input);
  let points = 0;
  let survived = 0;
  for (const point of pointsOf(clean, perKind, kinds)) {
    const name = `${scenario.name}, ${textOf(point)}`;
    onPoint?.(name);
    points++;
    await renew(places);
    const run = await runner.run({ ...request, point });
    const complain = (problem: string) => {
      faults.push(`${name}: ${problem}`);
      onFault?.(`${name}: ${problem}`);
    };
    if (typeof run === 'string') {
      complain(run);
      continue;
    }
    if (run.hits === 0) continue; // the calls of one run are not quite those of another
    if (run.code === 0) survived++;
    for (const problem of judge(run, snapshot(places), expected, point)) {
      complain(`${problem} (${run.hit.replace(root, '')})`);
    }
    const argv = run.code === 0 ? scenario.again?.(places) : undefined;
    const again = await runner.run(argv ? { ...request, argv } : request);
    if (typeof again === 'string' || again.code !== 0) {
      complain(
        `and then it fails without a fault: ${typeof again === 'string' ? again : again.stderr.slice(-500)}`,
      );
      continue;
    }
    const left = leftovers(strangers(snapshot(places), expected), options.reclaims);
    if (left.length > 0) complain(`the next run leaves ${left.join(', ')}`);
    const lacking = strangers(expected, snapshot(places));
    if (lacking.length > 0) complain(`the next run does not make ${lacking.join(', ')}`);
  }
  const changed = [
    ...strangers(treeOf(places.input), input),
    ...strangers(input, treeOf(places.input)),
  ];
  if (changed.length > 0)
    faults.push(`${scenario.name} has changed its input: ${changed.join(', ')}`);
  return { calls: clean.counts, points, survived, faults };
}

/** What is wrong after a run with a fault. */
function judge(
  run: Run,
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
  point: Point,
): string[] {
  const problems: string[] = [];
  if (run.code !== 0 && run.code !== 7) {
    problems.push(`ends with ${run.code}: ${run.stderr.slice(-600)}`);
  }
  if (run.code === 7 && !/^error: .+ \[[A-Z_]+\]$/m.test(run.stderr)) {
    problems.push(`does not say what failed: ${run.stderr.slice(-300)}`);
  }
  // The folders of the cache are as good as none.
  const wrong = strangers(found, expected).filter((name) => !/^cache\/\w+\/$/.test(name));
  // What cannot be removed stays, under a name of its own: the next run has to take care of it.
  const excused = point.kind === 'unlink' || point.kind === 'list' || point.kind === 'stat';
  const bad = excused ? wrong.filter((name) => !isScratch(name)) : wrong;
  if (bad.length > 0) problems.push(`leaves ${bad.join(', ')}`);
  if (run.code === 0) {
    const lacking = strangers(expected, found).filter((name) => name.startsWith('output/'));
    if (lacking.length > 0) problems.push(`ends with 0 without ${lacking.join(', ')}`);
  }
  if (run.open.length > 0) problems.push(`leaves open ${run.open.join(', ')}`);
  return problems;
}

/** What the next run had to take away. */
export function leftovers(names: readonly string[], reclaims: boolean): readonly string[] {
  return reclaims ? names : names.filter((name) => !isScratch(name));
}

const isScratch = (name: string) =>
  /(^|\/)\.?iso-rehydrate-|^cache\/work-|\.part$|^tmp\//.test(name);

/** `count` of the numbers from 1 to `total`: the first and the last ones, and some in between. */
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
        // A disk that is full stays full, and so does a table of open files.
        yield { kind, nth, errno, sticky: index === 0 && (kind === 'write' || kind === 'open') };
      }
    }
  }
}

function textOf({ kind, nth, errno, sticky }: Point): string {
  const [error = ''] = Object.entries(constants.errno).find(([, value]) => value === errno) ?? [];
  return `${kind} ${nth}${sticky ? ' and all later' : ''}: ${error}`;
}

export async function renew({ output, cache, temporary }: Places): Promise<void> {
  for (const folder of [output, cache, temporary]) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
  }
}

/** All that a run may have written. The records of runs have times in them. */
export function snapshot(places: Places): Map<string, string> {
  const named = (name: string, tree: Map<string, string>) =>
    [...tree].map(([path, sha256]): [string, string] => [
      `${name}/${path}`,
      path.startsWith('runs/') ? '' : sha256,
    ]);
  return new Map([
    ...named('output', treeOf(places.output)),
    ...named('cache', treeOf(places.cache)),
    ...named('tmp', treeOf(places.temporary)),
  ]);
}
