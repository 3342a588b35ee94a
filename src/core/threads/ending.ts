import { once } from 'node:events';
import type { MessagePort, Worker } from 'node:worker_threads';
import { CancelledError } from '../errors.ts';

/*
 * Threads end by themselves. `Worker.terminate` stops one between any two steps, in the middle of its start or inside
 * a call of Node's own C++, which takes an unexpected failure there for a bug and aborts the whole process (SIGABRT).
 * So a thread is asked, by a flag that it looks at between two pieces of work, and by a message if it is waiting.
 */

/** Shared by a crew of threads; each gets it as initial data. */
export type EndFlag = Int32Array<SharedArrayBuffer>;

/** The message that closes the port of a thread. */
export const END = 'end';
export type End = typeof END;

/** Milliseconds; a thread that works on one piece for longer hangs, and is terminated. */
const PATIENCE = 60_000;

export const endFlag = (): EndFlag => new Int32Array(new SharedArrayBuffer(4));

/** Asks threads to end, and resolves once they have. */
export async function endThreads(workers: readonly Worker[], flag: EndFlag): Promise<void> {
  Atomics.store(flag, 0, 1);
  await Promise.all(
    workers.map(async (worker) => {
      if (worker.threadId < 0) return; // it has ended
      const ended = once(worker, 'exit');
      worker.ref();
      worker.postMessage(END satisfies End);
      const timer = setTimeout(() => void worker.terminate(), PATIENCE);
      await ended.catch(() => once(worker, 'exit')); // an error comes first
      clearTimeout(timer);
    }),
  );
}

export const isEnding = (flag: EndFlag): boolean => Atomics.load(flag, 0) === 1;

/** In a thread: throws CancelledError if the thread must end. */
export function throwIfEnding(flag: EndFlag): void {
  if (isEnding(flag))
    throw new CancelledError('the thread was asked to end', { code: 'CANCELLED' });
}

/**
 * In a thread: receives messages until it is asked to end. Then `close` runs, and the port is closed, so that the
 * thread ends when nothing of its work is left.
 */
export function receive<T>(
  port: MessagePort,
  flag: EndFlag,
  onMessage: (message: T) => void,
  close: () => void = () => {},
): void {
  port.on('message', (message: T | End) => {
    if (message !== END && !isEnding(flag)) onMessage(message);
    if (message !== END) return;
    close();
    port.close();
  });
}
