import { parentPort, workerData } from 'node:worker_threads';
import { receive } from '../../core/threads/ending.ts';
import { toFailure } from '../../core/threads/failure.ts';
import { shareMemo } from '../deflate/shared.ts';
import type { Reply, Request } from './messages.ts';
import type { WorkerData } from './pool.ts';
import { runTask } from './tasks.ts';

/** The entry point of a codec worker: answers one request after the other. */
const port = parentPort;
if (port === null) throw new TypeError('worker.ts runs in a worker thread only');

const { memo, flag }: WorkerData = workerData;
if (memo) shareMemo(memo);

receive<Request>(port, flag, async ({ id, name, input }) => {
  try {
    const { output, transfer } = await runTask(name, input);
    port.postMessage({ id, output } satisfies Reply, transfer);
  } catch (error) {
    port.postMessage({ id, failure: toFailure(error) } satisfies Reply);
  }
});
