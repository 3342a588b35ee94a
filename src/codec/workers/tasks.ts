import { type CheckClusters, checkClusters } from '../qcow2/check-clusters.ts';
import { type PackClusters, packClusters } from '../qcow2/pack-clusters.ts';
import { type CheckGrains, checkGrains } from '../vmdk/check-grains.ts';
import { type PackGrains, packGrains } from '../vmdk/pack-grains.ts';
import type { Done, Task } from './task.ts';

export interface TaskTypes {
  readonly packGrains: PackGrains;
  readonly checkGrains: CheckGrains;
  readonly packClusters: PackClusters;
  readonly checkClusters: CheckClusters;
}
export type TaskName = keyof TaskTypes;
export type TaskInput<N extends TaskName> = TaskTypes[N]['input'];
export type TaskOutput<N extends TaskName> = TaskTypes[N]['output'];

/**
 * The work that a codec hands to its pool, by name. A task takes and gives plain data; the buffers of a
 * message move along with it rather than being copied.
 */
const TASKS: { readonly [N in TaskName]: Task<TaskTypes[N]> } = {
  packGrains,
  checkGrains,
  packClusters,
  checkClusters,
};

export function runTask<N extends TaskName>(
  name: N,
  input: TaskInput<N>,
): Promise<Done<TaskOutput<N>>> {
  return TASKS[name](input);
}
