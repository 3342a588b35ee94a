import { parentPort, workerData } from 'node:worker_threads';
import { isEnding, receive, throwIfEnding } from '../../../core/threads/ending.ts';
import { toFailure } from '../../../core/threads/failure.ts';
import { hashContents } from './hash-contents.ts';
import type { Job, Reply, Role } from './messages.ts';
import { readLayer } from './read-layer.ts';
import { readPaths } from './read-paths.ts';
import { lookingTaker, placingTaker, type Taker } from './taker.ts';

/** The entry point of a thread that reads contents, one job at a time. */
const port = parentPort;
if (port === null) throw new TypeError('worker.ts runs in a worker thread only');
const send = (reply: Reply) => port.postMessage(reply);

const { place, flag }: Role = workerData;
let taker: Taker | undefined;
const takerOf = () => {
  taker ??= endable(place ? placingTaker(place) : lookingTaker());
  return taker;
};

/** Every long read goes through the taker, so that is where a thread notices that it must end. */
const endable = (inner: Taker): Taker => ({
  ...inner,
  write(bytes) {
    throwIfEnding(flag);
    inner.write(bytes);
  },
});

async function work(job: Job): Promise<Reply> {
  const { kind, id } = job;
  switch (kind) {
    case 'layer': {
      const onRead = (bytes: number) => send({ kind: 'read', id, bytes });
      return { kind: 'done', id, ...(await readLayer(job, takerOf(), onRead)) };
    }
    case 'paths':
      return { kind: 'done', id, ...(await readPaths(job, takerOf())) };
    case 'hash':
      return { kind: 'done', id, changes: [], ...hashContents(job, () => throwIfEnding(flag)) };
  }
}

let working: Promise<void> | undefined;
receive<Job>(
  port,
  flag,
  (job) => {
    working = work(job).then(send, (error) => {
      if (!isEnding(flag)) send({ kind: 'failed', failure: toFailure(error) });
      taker?.close();
      taker = undefined;
      port.close();
    });
  },
  () => {
    // In the middle of work, its end closes the taker.
    const close = () => taker?.close();
    if (working) working.then(close, close);
    else close();
  },
);
