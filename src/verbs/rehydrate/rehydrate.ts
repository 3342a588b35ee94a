import type { MissingArtifact } from '../../bundle/recipes.ts';
import type { CodecPool } from '../../codec/pool.ts';
import type { BlockMemo } from '../../codec/released/context.ts';
import { workerPool } from '../../codec/workers/pool.ts';
import type { Arch } from '../../core/arch.ts';
import { CancelledError, throwIfAborted } from '../../core/errors.ts';
import { artifactsFailed, headline } from '../../core/failures.ts';
import { forArch, type Progress, silent } from '../../core/progress/progress.ts';
import { sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import { createTurns, type Turns } from '../../core/threads/turns.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { blockMemoFor, memoFor } from '../make/memos.ts';
import { type ArchResult, type FailedArtifact, type Rehydrated, rehydrateArch } from './arch.ts';
import { type ArchPlan, type Plan, type PlanRequest, planRehydration } from './plan.ts';
import { type StreamOutput, streamOutput } from './stream-output.ts';

export interface RehydrateOptions extends PlanRequest {
  /** How many artifacts are worked on at a time; 1 if undefined. Never affects a result. */
  readonly jobs?: number | undefined;
  /** How many architectures are, because each may need a VM; as many as `jobs` if undefined. */
  readonly boots?: number | undefined;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  readonly progress?: Progress | undefined;
  /** Called as soon as each artifact is complete and proven. */
  readonly onResult?: ((result: Rehydrated) => void) | undefined;
}

export interface RehydrateReport {
  /** In the requested order, or that of the bundle. */
  readonly architectures: readonly ArchOutcome[];
}

/** The outcome for one architecture. */
export interface ArchOutcome {
  readonly architecture: Arch;
  readonly status: 'done' | 'failed' | 'left-out';
  /** Why it failed or was skipped. */
  readonly error: unknown;
  /** The artifacts that exist and are proved, even if the architecture failed. */
  readonly artifacts: readonly Rehydrated[];
  /** Artifacts that could not be made, with the reason; `error` sums them up. */
  readonly failed: readonly FailedArtifact[];
  /** Requested, but not in the bundle. */
  readonly uncovered: readonly MissingArtifact[];
  /** Undefined if no boot was needed. */
  readonly engine: EngineReport | undefined;
  /** Wall-clock time. */
  readonly seconds: number;
}

/**
 * Makes the selected artifacts of one or several architectures, `boots` of these and `jobs` artifacts side by side. An artifact
 * or an architecture that fails does not stop the others: the report lists each, and `failureOf` turns it
 * into an error. Files appear complete and proved or not at all; those finished before a failure stay.
 * Throws before any work is done if the request as a whole is wrong, and CancelledError.
 */
export async function rehydrate(options: RehydrateOptions): Promise<RehydrateReport> {
  const { jobs = 1, boots = jobs, signal, progress = silent } = options;
  const plan = await planRehydration(options, progress);
  await using memo = await memoFor(plan.architectures, options.cache);
  await using blocks = await blockMemoFor(plan.architectures, options.cache, options);
  await using pool = workerPool(undefined, memo?.shared);
  // A failure of the shared stream ends all architectures.
  const stop = new AbortController();
  await using stream =
    plan.output.kind === 'stream'
      ? streamOutput(plan.output.stream, count(plan), (reason) => stop.abort(reason))
      : undefined;
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const turns = createTurns(jobs);
  const run = {
    ...options,
    pool,
    blocks,
    turns,
    stream,
    signal: either,
    several: plan.architectures.length > 1,
  };
  const settled = await sideBySide(plan.architectures, boots, (one, earlier) =>
    rehydrateOne(one, { ...run, earlier }),
  );
  const architectures = settled.map(valueOrThrow);
  if (architectures.some(({ error }) => error instanceof CancelledError)) throwIfAborted(signal);
  await stream?.finish();
  return { architectures: [...architectures, ...leftOut(plan)] };
}

interface Run extends RehydrateOptions {
  readonly pool: CodecPool;
  readonly blocks: BlockMemo | undefined;
  readonly turns: Turns;
  readonly signal: AbortSignal;
  readonly stream: StreamOutput | undefined;
  readonly several: boolean;
  /** A stream gets the architectures one after the other, so that its bytes are the same each time. */
  readonly earlier: Promise<void>;
}

/** Resolves to the outcome, even a failure. */
async function rehydrateOne(plan: ArchPlan, run: Run): Promise<ArchOutcome> {
  const { recipes, uncovered } = plan;
  const { several, earlier: turn, force = false, signal } = run;
  const { architecture } = recipes;
  const progress = forArch(run.progress ?? silent, architecture, { several });
  const started = performance.now();
  const artifacts: Rehydrated[] = [];
  const onResult = (result: Rehydrated) => {
    artifacts.push(result);
    run.onResult?.(result);
  };
  let made: ArchResult = { failed: [], engine: undefined };
  let error: unknown;
  try {
    throwIfAborted(signal);
    made = await rehydrateArch(plan, { ...run, force, turn, progress, onResult });
    error = artifactsFailed(made.failed.map(({ label, error }) => ({ artifact: label, error })));
  } catch (thrown) {
    error = thrown;
  }
  if (several && error !== undefined && !(error instanceof CancelledError)) {
    progress({ type: 'failed', subject: architecture, message: headline(error) });
  }
  const status = error === undefined ? 'done' : 'failed';
  const seconds = (performance.now() - started) / 1000;
  return { architecture, status, error, artifacts, ...made, uncovered, seconds };
}

function leftOut({ leftOut: architectures }: Plan): ArchOutcome[] {
  const nothing = { artifacts: [], failed: [], uncovered: [], engine: undefined, seconds: 0 };
  return [...architectures].map(([architecture, error]) => ({
    ...nothing,
    architecture,
    status: 'left-out',
    error,
  }));
}

const count = ({ architectures }: Plan) =>
  architectures.reduce((sum, { artifacts }) => sum + artifacts.length, 0);
