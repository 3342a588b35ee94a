import { Worker } from 'node:worker_threads';
import { cancelled } from '../../../core/errors.ts';
import { endFlag, endThreads } from '../../../core/threads/ending.ts';
import { fromFailure } from '../../../core/threads/failure.ts';
import type { Answer, Ask, Reply } from './messages.ts';

/** Beside this file, `.ts` in the sources and `.js` once built. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js',
  import.meta.url,
);

/** A thread that compresses one stream after the other. */
export interface PackThread {
  /** Answers come in the order of the requests. Rejects if the thread has ended. */
  ask(ask: Ask): Promise<Answer>;
  /** Ends it after the current piece; pending requests reject. */
  end(): Promise<void>;
}

/** Starts a thread, which `signal` ends too. */
export function packThread(signal: AbortSignal | undefined): PackThread {
  const flag = endFlag();
  const worker = new Worker(ENTRY, { workerData: flag });
  const pending: PromiseWithResolvers<Answer>[] = [];
  let failed: unknown;
  const fail = (error: unknown) => {
    failed ??= error;
    for (const { reject } of pending.splice(0)) reject(failed);
  };
  const stop = () => {
    if (signal) fail(cancelled(signal));
    void endThreads([worker], flag);
  };
  signal?.addEventListener('abort', stop, { once: true });
  worker.on('message', (reply: Reply) => {
    const next = pending.shift();
    if ('failure' in reply) next?.reject(fromFailure(reply.failure));
    else next?.resolve(reply.answer);
    if (pending.length === 0) worker.unref();
  });
  worker.on('error', fail);
  worker.on('exit', (code) => fail(new Error(`a compressing thread ended (status ${code})`)));
  // An idle thread must not keep the process alive.
  worker.unref();
  if (signal?.aborted) stop();
  return {
    ask(ask) {
      if (failed !== undefined) return Promise.reject(failed);
      const answer = Promise.withResolvers<Answer>();
      pending.push(answer);
      worker.ref();
      worker.postMessage(ask, ask.op === 'data' ? [ask.bytes.buffer] : []);
      return answer.promise;
    },
    async end() {
      signal?.removeEventListener('abort', stop);
      await endThreads([worker], flag);
    },
  };
}
