import { parentPort } from 'node:worker_threads';
import { createHasher, type Hasher } from './digest.ts';
import { HASH_SLOT, type HashReply, type HashRequest } from './hash-thread.ts';

/** The entry of a thread that hashes what {@link hashThreads} tells it. */
const port = parentPort;
if (port === null) throw new TypeError('hash-worker.ts runs in a worker thread only');

const open = new Map<number, { readonly hasher: Hasher; readonly slots: Uint8Array }>();

port.on('message', (request: HashRequest) => {
  const { id } = request;
  if (request.kind === 'open') {
    open.set(id, { hasher: createHasher(), slots: new Uint8Array(request.slots) });
    return;
  }
  const stream = open.get(id);
  if (stream === undefined) return;
  const { hasher, slots } = stream;
  switch (request.kind) {
    case 'data': {
      const start = request.slot * HASH_SLOT;
      hasher.update(slots.subarray(start, start + request.length));
      port.postMessage({ id, free: request.slot } satisfies HashReply);
      return;
    }
    case 'zeros':
      hasher.zeros(request.length);
      port.postMessage({ id, free: request.slot } satisfies HashReply);
      return;
    case 'digest':
      port.postMessage({ id, sha256: hasher.digest() } satisfies HashReply);
      return;
    case 'close':
      open.delete(id);
  }
});
