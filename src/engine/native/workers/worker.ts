import { parentPort, workerData } from 'node:worker_threads';
import { isEnding, receive, throwIfEnding } from '../../../core/threads/ending.ts';
import { toFailure } from '../../../core/threads/failure.ts';
import { fill } from './fill.ts';
import { startHashing } from './hash.ts';
import type { HashRequest, Reply, ThreadData, UnpackRequest } from './messages.ts';
import { startUnpacking } from './unpack.ts';

/** The entry point of a thread of the native engine. */
const port = parentPort;
if (port === null) throw new TypeError('worker.ts runs in a worker thread only');
const { role, flag }: ThreadData = workerData;
/** Long work sends messages now and then, so this is where a thread notices that it must end. */
const send = (reply: Reply) => {
  throwIfEnding(flag);
  port.postMessage(reply);
};

const guarded = (work: () => void) => {
  try {
    work();
  } catch (error) {
    if (!isEnding(flag)) {
      port.postMessage({ kind: 'failed', failure: toFailure(error) } satisfies Reply);
    }
    port.close();
  }
};

guarded(() => {
  throwIfEnding(flag);
  switch (role.role) {
    case 'unpack': {
      const unpack = startUnpacking(role);
      receive<UnpackRequest>(port, flag, ({ id, units }) =>
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
      receive<HashRequest>(port, flag, ({ upTo, data }) => guarded(() => hash(upTo, data)));
      return;
    }
  }
});
