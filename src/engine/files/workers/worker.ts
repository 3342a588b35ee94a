import { parentPort, workerData } from 'node:worker_threads';
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

const { place }: Role = workerData;
let taker: Taker | undefined;
const takerOf = () => {
  taker ??= place ? placingTaker(place) : lookingTaker();
  return taker;
};

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
      return { kind: 'done', id, changes: [], ...hashContents(job) };
  }
}

port.on('message', (job: Job | 'close') => {
  if (job === 'close') {
    taker?.close();
    port.close();
    return;
  }
  work(job).then(send, (error) => {
    send({ kind: 'failed', failure: toFailure(error) });
    taker?.close();
    port.close();
  });
});
