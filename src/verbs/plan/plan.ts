import * as v from 'valibot';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf } from '../../bundle/recipes.ts';
import { shardText } from '../../bundle/shard.ts';
import {
  type ArchWork,
  blobsFor,
  chooseWork,
  effortOf,
  type WorkRequest,
} from '../../bundle/work.ts';
import { ARCHITECTURES } from '../../core/arch.ts';
import { sha256Field, sizeField, textField } from '../../core/json/fields.ts';
import { silent } from '../../core/progress/progress.ts';
import { ENGINES, type EngineChoice } from '../../engine/choose.ts';
import { shortName } from '../../release/stream/artifacts.ts';

export const PLAN_VERSION = 1;

const totals = {
  /** Short names, as accepted by `--platform`. */
  artifacts: v.array(textField(256)),
  /** Requested, but not in the bundle. */
  uncovered: v.array(textField(256)),
  /** Size of the images. */
  bytes: sizeField,
  /** Size of the blobs that the job needs from the bundle: ISOs, deltas, recipes; each counted once. */
  fetch: sizeField,
  /** The balanced quantity: the compressed size of the released files, since zeros cost almost nothing. */
  effort: sizeField,
};

/** `plan --json`; published as `plan.schema.json`. Sizes in bytes. */
export const planSchema = v.object({
  type: v.literal('plan'),
  schemaVersion: v.literal(PLAN_VERSION),
  bundle: v.object({ path: textField(4096), index: sha256Field }),
  engine: v.picklist(ENGINES),
  /** One value of `--shard` per job, ready for a matrix. */
  shards: v.array(
    v.object({
      shard: v.pipe(v.string(), v.regex(/^\d+\/\d+$/)),
      index: v.pipe(v.number(), v.integer(), v.minValue(1)),
      architectures: v.array(v.picklist(ARCHITECTURES)),
      ...totals,
      artifacts: v.pipe(v.number(), v.integer(), v.minValue(0)),
      uncovered: v.pipe(v.number(), v.integer(), v.minValue(0)),
    }),
  ),
  /** The unit of sharding: the artifacts of one architecture that one boot serves. */
  units: v.array(
    v.object({
      shard: v.pipe(v.string(), v.regex(/^\d+\/\d+$/)),
      architecture: v.picklist(ARCHITECTURES),
      engine: v.picklist(ENGINES),
      /** Disks that the engine must make from the ISO. */
      disks: v.array(v.picklist(['metal', 'metal4k'])),
      ...totals,
    }),
  ),
});

export type WorkPlan = v.InferOutput<typeof planSchema>;

export interface WorkPlanRequest extends Omit<WorkRequest, 'shard'> {
  readonly bundle: Bundle;
  readonly engine: EngineChoice;
  /** Number of jobs to split the work into; 1 to 4096. */
  readonly shards: number;
}

/** Splits work into jobs. Reads only the bundle's JSON documents. */
export function planWork(request: WorkPlanRequest): WorkPlan {
  const { bundle, engine, shards: of } = request;
  const cut = Array.from({ length: of }, (_, i) => {
    const shard = { index: i + 1, of };
    return { ...shard, work: chooseWork({ ...request, shard }, silent).architectures };
  });
  const units = cut.flatMap(({ index, work }) =>
    work.map((one) => {
      const { artifacts: covered, missing } = one.recipes;
      const all = [...covered, ...missing];
      const bases = new Set(one.artifacts.map(baseOf));
      return {
        shard: shardText({ index, of }),
        architecture: one.recipes.architecture,
        engine,
        disks: (['metal', 'metal4k'] as const).filter((base) => bases.has(base)),
        artifacts: one.artifacts.map((artifact) => shortName(artifact, covered)),
        uncovered: one.uncovered.map((artifact) => shortName(artifact, all)),
        bytes: sum(one.artifacts),
        fetch: sum(blobsFor([one])),
        effort: effort([one]),
      };
    }),
  );
  const shards = cut.map(({ index, work }) => ({
    shard: shardText({ index, of }),
    index,
    architectures: work.map(({ recipes }) => recipes.architecture),
    artifacts: work.reduce((count, { artifacts }) => count + artifacts.length, 0),
    uncovered: work.reduce((count, { uncovered }) => count + uncovered.length, 0),
    bytes: sum(work.flatMap(({ artifacts }) => artifacts)),
    fetch: sum(blobsFor(work)),
    effort: effort(work),
  }));
  const { path, origin = path, digest } = bundle;
  return {
    type: 'plan',
    schemaVersion: PLAN_VERSION,
    bundle: { path: origin, index: digest },
    engine,
    shards,
    units,
  };
}

const effort = (work: readonly ArchWork[]) =>
  work
    .flatMap(({ artifacts, recipes }) => artifacts.map((one) => effortOf(one, recipes)))
    .reduce((total, one) => total + one, 0);

const sum = (sized: readonly { readonly size: number }[]) =>
  sized.reduce((total, { size }) => total + size, 0);
