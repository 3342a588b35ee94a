import { parentPort, workerData } from 'node:worker_threads';
import { toFailure } from '../../../core/threads/failure.ts';
import { fill } from './fill.ts';
import { startHashing } from './hash.ts';
import type { HashRequest, Reply, Role, UnpackRequest } from './messages.ts';
import { startUnpacking } from './unpack.ts';

/** The entry point of a thread of the native engine. */
const port = parentPort;
if (port === null) throw new TypeError('worker.ts runs in a worker thread only');
const send = (reply: Reply) => port.postMessage(reply);

const guarded = (work: () => void) => {
  try {
    work();
  } catch (error) {
    send({ kind: 'failed', failure: toFailure(error) });
    port.close();
  }
};

const role: Role = workerData;
guarded(() => {
  switch (role.role) {
    case 'unpack': {
      const unpack = startUnpacking(role);
      port.on('message', ({ id, units }: UnpackRequest) =>
        guarded(() => {
          unpack(units);
          send({ kind: 'unpacked', id });
        }),
      );
      return;
    }
    case 'fill':
      fill(role, (upTo) => send({ kind: 'filled', upTo }));
      return;
    case 'hash': {
      const hash = startHashing(role, (upTo, sha256) => send({ kind: 'hashed', upTo, sha256 }));
      port.on('message', ({ upTo, data }: HashRequest) => guarded(() => hash(upTo, data)));
      return;
    }
  }
});
