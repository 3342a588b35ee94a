import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { cancelled } from '../../../core/errors.ts';
import { endFlag, endThreads } from '../../../core/threads/ending.ts';
import { fromFailure } from '../../../core/threads/failure.ts';
import type { Job, Place, Reply, Role } from './messages.ts';

/** More threads would wait for the disk, and each takes some 60 MiB. */
const MAX_THREADS = 4;

export type Done = Extract<Reply, { kind: 'done' }>;
type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never;

/** Threads that read contents; disposing ends them. The first failure ends all work. */
export interface Readers extends AsyncDisposable {
  readonly threads: number;
  /** Runs a job as soon as a thread is free. `onRead` receives the bytes read so far. */
  run(job: WithoutId<Job>, onRead?: (bytes: number) => void): Promise<Done>;
}

export interface ReadersOptions {
  readonly threads?: number | undefined;
  /** Where each thread writes contents; undefined to only survey them. */
  readonly place?: ((thread: number) => Place) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Beside this file, `.ts` in the sources and `.js` once built. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

export function startReaders({ threads, place, signal }: ReadersOptions = {}): Readers {
  const count = Math.min(threads ?? availableParallelism(), MAX_THREADS);
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {}); // awaiting a job rethrows it
  const abort = () => signal && failure.reject(cancelled(signal));
  signal?.addEventListener('abort', abort, { once: true });
  if (signal?.aborted) abort();

  const waiting: Job[] = [];
  const jobs = new Map<number, { done(reply: Done): void; read(bytes: number): void }>();
  const idle: Worker[] = [];
  const flag = endFlag();
  const workers = Array.from({ length: Math.max(1, count) }, (_, thread) => {
    const workerData: Role = { place: place?.(thread), flag };
    const worker = new Worker(ENTRY, { workerData });
    worker.on('message', (reply: Reply) => {
      if (reply.kind === 'failed') failure.reject(fromFailure(reply.failure));
      else if (reply.kind === 'read') jobs.get(reply.id)?.read(reply.bytes);
      else {
        jobs.get(reply.id)?.done(reply);
        jobs.delete(reply.id);
        give(worker);
      }
    });
    worker.on('error', (error) => failure.reject(error));
    idle.push(worker);
    return worker;
  });
  function give(worker: Worker): void {
    const job = waiting.shift();
    if (job) worker.postMessage(job);
    else idle.push(worker);
  }

  let id = 0;
  return {
    threads: workers.length,
    run(job, onRead = () => {}) {
      const whole: Job = { ...job, id: id++ };
      const result = Promise.withResolvers<Done>();
      jobs.set(whole.id, { done: result.resolve, read: onRead });
      const worker = idle.pop();
      if (worker) worker.postMessage(whole);
      else waiting.push(whole);
      return Promise.race([result.promise, failure.promise]);
    },
    async [Symbol.asyncDispose]() {
      signal?.removeEventListener('abort', abort);
      await endThreads(workers, flag);
    },
  };
}
