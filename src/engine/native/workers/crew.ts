import { Worker } from 'node:worker_threads';
import { endFlag, endThreads } from '../../../core/threads/ending.ts';
import { fromFailure } from '../../../core/threads/failure.ts';
import type { HashRequest, Reply, Role, ThreadData, UnpackRequest } from './messages.ts';

export interface Thread {
  post(request: UnpackRequest | HashRequest): void;
}

/** The threads of one run. The first that fails ends all of it. */
export interface Crew extends AsyncDisposable {
  start(role: Role, onReply: (reply: Reply) => void): Thread;
  /** Rejects with the error of the first thread that fails; never resolves. */
  readonly failed: Promise<never>;
}

/** Beside this file, `.ts` in the sources and `.js` once built. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

export function createCrew(): Crew {
  const workers: Worker[] = [];
  const flag = endFlag();
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {}); // it is rethrown when awaited
  return {
    failed: failure.promise,
    start(role, onReply) {
      const worker = new Worker(ENTRY, { workerData: { role, flag } satisfies ThreadData });
      workers.push(worker);
      worker.on('message', (reply: Reply) => {
        if (reply.kind === 'failed') failure.reject(fromFailure(reply.failure));
        else onReply(reply);
      });
      worker.on('error', (error) => failure.reject(error));
      return { post: (request) => worker.postMessage(request) };
    },
    [Symbol.asyncDispose]: () => endThreads(workers, flag),
  };
}
