import type { Done, Task, TaskType } from '../pool.ts';
import { checkClusters } from '../qcow2/check-clusters.ts';
import { packClusters } from '../qcow2/pack-clusters.ts';
import { checkGrains } from '../vmdk/check-grains.ts';
import { packGrains } from '../vmdk/pack-grains.ts';

/**
 * The tasks that codecs send to their pool, by name. Their input and output are plain data; the buffers of
 * a message are moved, not copied.
 */
const TASKS = [packGrains, checkGrains, packClusters, checkClusters] as const;

export function runTask(name: string, input: unknown): Promise<Done<unknown>> {
  const task = TASKS.find((one) => one.name === name) as Task<TaskType> | undefined;
  if (task === undefined) throw new TypeError(`no codec task is called ${name}`);
  return task.run(input);
}
