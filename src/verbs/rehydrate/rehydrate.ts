import type { MissingArtifact, RecipeArtifact } from '../../bundle/recipes.ts';
import { openMemo } from '../../codec/deflate/memo.ts';
import type { CodecPool } from '../../codec/pool.ts';
import { workerPool } from '../../codec/workers/pool.ts';
import type { Arch } from '../../core/arch.ts';
import { headline } from '../../core/arch-failures.ts';
import { CancelledError, throwIfAborted } from '../../core/errors.ts';
import { forArch, type Progress, silent } from '../../core/progress/progress.ts';
import { sideBySide, valueOrThrow } from '../../core/threads/side-by-side.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { EngineReport, MetalEngine } from '../../engine/engine.ts';
import { type Rehydrated, rehydrateArch } from './arch.ts';
import { deliverFiles, type StreamDelivery, streamDelivery } from './deliver.ts';
import { type ArchPlan, type Plan, type PlanRequest, planRehydration } from './plan.ts';

export interface RehydrateOptions extends PlanRequest {
  /** How many architectures are worked on at a time; 1 if undefined. */
  readonly jobs?: number | undefined;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  readonly progress?: Progress | undefined;
  /** Called as soon as each artifact is complete and proven. */
  readonly onResult?: ((result: Rehydrated) => void) | undefined;
}

export interface RehydrateReport {
  /** In the order asked for, or that of the bundle. */
  readonly architectures: readonly ArchOutcome[];
}

/** What became of one architecture. */
export interface ArchOutcome {
  readonly architecture: Arch;
  readonly status: 'done' | 'failed' | 'left-out';
  /** Why it failed or was left out. */
  readonly error: unknown;
  /** What is there and proven; of a failed architecture too. */
  readonly artifacts: readonly Rehydrated[];
  /** Asked for, but not in the bundle. */
  readonly uncovered: readonly MissingArtifact[];
  /** Undefined if no boot was needed. */
  readonly engine: EngineReport | undefined;
  /** Wall-clock time. */
  readonly seconds: number;
}

/**
 * Makes the selected artifacts of one or several architectures, `jobs` of these side by side. One
 * that fails does not stop the others: the report tells of each, and `failureOf` makes an error of
 * it. Files appear complete and proven or not at all; those finished before a failure stay. Throws
 * what is wrong with the request as a whole, before any work is done, and CancelledError.
 */
export async function rehydrate(options: RehydrateOptions): Promise<RehydrateReport> {
  const { jobs = 1, signal, progress = silent } = options;
  const plan = await planRehydration(options, progress);
  await using memo = deflatesAgain(plan) ? await memoIn(options.cache) : undefined;
  await using pool = workerPool(undefined, memo?.shared);
  // What breaks the one stream that all write to ends them all.
  const stop = new AbortController();
  await using stream =
    plan.output.kind === 'stream'
      ? streamDelivery(plan.output.stream, count(plan), (reason) => stop.abort(reason))
      : undefined;
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const run = { ...options, pool, stream, signal: either, several: plan.architectures.length > 1 };
  const settled = await sideBySide(plan.architectures, jobs, (one, earlier) =>
    rehydrateOne(one, { ...run, earlier }),
  );
  const architectures = settled.map(valueOrThrow);
  if (architectures.some(({ error }) => error instanceof CancelledError)) throwIfAborted(signal);
  await stream?.finish();
  return { architectures: [...architectures, ...leftOut(plan)] };
}

/** A cache that cannot be written to serves as well, but slower. */
async function memoIn(cache: MetalCache) {
  try {
    return await openMemo(await cache.scratch());
  } catch {
    return undefined;
  }
}

/** Whether two images of an architecture may hold the same deflated data. */
function deflatesAgain({ architectures }: Plan): boolean {
  return architectures.some(({ artifacts }) => artifacts.filter(hasDeflated).length > 1);
}

function hasDeflated({ recipe }: RecipeArtifact): boolean {
  return recipe.kind === 'container' && recipe.layers.some(({ requires }) => requires.length > 0);
}

interface Run extends RehydrateOptions {
  readonly pool: CodecPool;
  readonly signal: AbortSignal;
  readonly stream: StreamDelivery | undefined;
  readonly several: boolean;
  /** Streams take the architectures one after the other, so that the same bytes come out each time. */
  readonly earlier: Promise<void>;
}

/** Resolves to the outcome even if that is a failure. */
async function rehydrateOne(plan: ArchPlan, run: Run): Promise<ArchOutcome> {
  const { recipes, uncovered, files } = plan;
  const { stream, several, earlier, force = false, signal } = run;
  const { architecture } = recipes;
  const progress = forArch(run.progress ?? silent, architecture, several);
  const started = performance.now();
  const artifacts: Rehydrated[] = [];
  const outcome = (how: Pick<ArchOutcome, 'status' | 'error' | 'engine'>): ArchOutcome => {
    const seconds = (performance.now() - started) / 1000;
    return { architecture, artifacts, uncovered, seconds, ...how };
  };
  try {
    throwIfAborted(signal);
    const engine = await rehydrateArch(plan, {
      ...run,
      force,
      progress,
      onResult(result) {
        artifacts.push(result);
        run.onResult?.(result);
      },
      async deliver(job) {
        if (stream === undefined) return deliverFiles(files, job);
        await earlier;
        throwIfAborted(signal);
        return stream.deliver(plan.artifacts, job);
      },
    });
    return outcome({ status: 'done', error: undefined, engine });
  } catch (error) {
    if (several && !(error instanceof CancelledError)) {
      progress({ type: 'failed', subject: architecture, message: headline(error) });
    }
    return outcome({ status: 'failed', error, engine: undefined });
  }
}

function leftOut({ leftOut: architectures }: Plan): ArchOutcome[] {
  const nothing = { artifacts: [], uncovered: [], engine: undefined, seconds: 0 };
  return [...architectures].map(([architecture, error]) => ({
    ...nothing,
    architecture,
    status: 'left-out',
    error,
  }));
}

const count = ({ architectures }: Plan) =>
  architectures.reduce((sum, { artifacts }) => sum + artifacts.length, 0);
