import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { hashingHere } from '../../core/io/digest.ts';
import { type EndFlag, endFlag, endThreads } from '../../core/threads/ending.ts';
import { fromFailure } from '../../core/threads/failure.ts';
import { hashThreads } from '../../core/threads/hash-thread.ts';
import type { SharedMemo } from '../deflate/memo.ts';
import type { CodecPool, Task, TaskType } from '../pool.ts';
import type { Reply, Request } from './messages.ts';

/** Runs tasks in the calling thread, for images that are too small for threads. */
export function inlinePool(): CodecPool {
  return {
    depth: 1,
    async run(task, input) {
      return (await task.run(input)).output;
    },
    hashing: (_, signal) => hashingHere(signal),
    async [Symbol.asyncDispose]() {},
  };
}

interface Lane {
  readonly worker: Worker;
  readonly pending: Map<number, Settle>;
  failed: Error | undefined;
}
interface Settle {
  resolve(output: unknown): void;
  reject(error: Error): void;
}

/** Less is hashed before a thread has started; bytes. */
const WORTH_A_THREAD = 32 << 20;
/** More threads would gain less than the memory that each takes. */
const MAX_WORKERS = 4;

/** The initial data of a thread. */
export interface WorkerData {
  readonly memo: SharedMemo | undefined;
  readonly flag: EndFlag;
}

/**
 * Runs tasks on `workers` threads, which start with the first task. Neither the choice of thread nor a memo
 * of deflated data ever affects a result.
 */
export function workerPool(
  workers: number = Math.min(availableParallelism(), MAX_WORKERS),
  memo?: SharedMemo,
): CodecPool {
  const count = Math.max(1, workers);
  const lanes: Lane[] = [];
  const flag = endFlag();
  const hashes = hashThreads();
  let nextId = 0;

  async function run<T extends TaskType>(
    { name }: Task<T>,
    input: T['input'],
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<T['output']> {
    while (lanes.length < count) lanes.push(startLane({ memo, flag }));
    const lane = lanes.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
    if (lane.failed) throw lane.failed;
    const id = nextId++;
    return new Promise<T['output']>((resolve, reject) => {
      lane.pending.set(id, { resolve, reject });
      lane.worker.ref();
      lane.worker.postMessage({ id, name, input } satisfies Request, transfer);
    });
  }

  return {
    depth: 2 * count + 1,
    run,
    hashing: (size, signal) =>
      size < WORTH_A_THREAD ? hashingHere(signal) : hashes.hashing(signal),
    async [Symbol.asyncDispose]() {
      await Promise.all([
        endThreads(
          lanes.map(({ worker }) => worker),
          flag,
        ),
        hashes[Symbol.asyncDispose](),
      ]);
    },
  };
}

/** Beside this file, `.ts` in the sources and `.js` once built. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

function startLane(workerData: WorkerData): Lane {
  const worker = new Worker(ENTRY, { workerData });
  const lane: Lane = { worker, pending: new Map(), failed: undefined };
  worker.on('message', (reply: Reply) => {
    const settle = lane.pending.get(reply.id);
    lane.pending.delete(reply.id);
    if (lane.pending.size === 0) worker.unref();
    if ('failure' in reply) settle?.reject(fromFailure(reply.failure));
    else settle?.resolve(reply.output);
  });
  const fail = (error: Error) => {
    lane.failed ??= error;
    for (const settle of lane.pending.values()) settle.reject(lane.failed);
    lane.pending.clear();
  };
  worker.on('error', fail);
  worker.on('exit', (code) => fail(new Error(`codec worker ended (status ${code})`)));
  // An idle pool must not keep the process alive; one at work must.
  worker.unref();
  return lane;
}
