import { parentPort, workerData } from 'node:worker_threads';
import { createHasher, type Hasher } from '../io/digest.ts';
import { readFully } from '../io/read-fully.ts';
import { type EndFlag, receive } from './ending.ts';
import { type Failure, toFailure } from './failure.ts';
import { HASH_SLOT, type HashReply, type HashRequest } from './hash-thread.ts';

/** The entry point of a thread that hashes for {@link hashThreads}. */
const port = parentPort;
if (port === null) throw new TypeError('hash-worker.ts runs in a worker thread only');

const open = new Map<number, { readonly hasher: Hasher; readonly slots: Uint8Array }>();

const flag: EndFlag = workerData;
receive<HashRequest>(port, flag, (request) => {
  const { id } = request;
  if (request.kind === 'open') {
    open.set(id, { hasher: createHasher(), slots: new Uint8Array(request.slots) });
    return;
  }
  const stream = open.get(id);
  if (stream === undefined) return;
  const { hasher, slots } = stream;
  const slotOf = (slot: number) => slots.subarray(slot * HASH_SLOT, (slot + 1) * HASH_SLOT);
  switch (request.kind) {
    case 'data':
      hasher.update(slotOf(request.slot).subarray(0, request.length));
      port.postMessage({ id, free: request.slot } satisfies HashReply);
      return;
    case 'zeros':
      hasher.zeros(request.length);
      port.postMessage({ id, free: request.slot } satisfies HashReply);
      return;
    case 'file': {
      const unread = hashFile(request, slotOf(request.slot), hasher);
      const free = { id, free: request.slot };
      port.postMessage((unread ? { ...free, unread } : free) satisfies HashReply);
      return;
    }
    case 'digest':
      port.postMessage({ id, sha256: hasher.digest() } satisfies HashReply);
      return;
    case 'close':
      open.delete(id);
  }
});

/** Hashes a part of a file; returns why it could not be read. */
function hashFile(
  { fd, name, start, length }: Extract<HashRequest, { kind: 'file' }>,
  buffer: Uint8Array,
  hasher: Hasher,
): Failure | undefined {
  const end = start + length;
  try {
    for (let at = start; at < end; ) {
      const part = buffer.subarray(0, Math.min(buffer.length, end - at));
      readFully(fd, name, part, at);
      hasher.update(part);
      at += part.length;
    }
    return undefined;
  } catch (error) {
    return toFailure(error);
  }
}
