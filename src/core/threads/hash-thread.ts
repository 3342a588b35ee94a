import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { throwIfAborted } from '../errors.ts';
import type { Hashing, Sha256 } from '../io/digest.ts';
import { type EndFlag, endFlag, endThreads } from './ending.ts';
import { type Failure, fromFailure } from './failure.ts';

/** Bytes that go to a thread at once. */
export const HASH_SLOT = 512 << 10;
/** Slots of one hasher: the thread works on one while the caller fills another. */
const SLOTS = 4;
/** Zeros that a thread hashes between two messages. */
const ZERO_STRIDE = 32 << 20;
/** Bytes of a file that it reads and hashes between two messages. */
const FILE_STRIDE = 4 << 20;
/** More threads would wait for the data. */
const MAX_THREADS = 4;

export type HashRequest =
  | { readonly kind: 'open'; readonly id: number; readonly slots: SharedArrayBuffer }
  | { readonly kind: 'data'; readonly id: number; readonly slot: number; readonly length: number }
  | { readonly kind: 'zeros'; readonly id: number; readonly slot: number; readonly length: number }
  /** The thread reads into the slot. */
  | {
      readonly kind: 'file';
      readonly id: number;
      readonly slot: number;
      readonly fd: number;
      readonly name: string;
      readonly start: number;
      readonly length: number;
    }
  | { readonly kind: 'digest'; readonly id: number }
  | { readonly kind: 'close'; readonly id: number };

export type HashReply =
  | { readonly id: number; readonly free: number; readonly unread?: Failure }
  | { readonly id: number; readonly sha256: Sha256 };

/** Threads that hash, so that the caller's thread is free. They start on first use. */
export interface HashThreads {
  hashing(signal?: AbortSignal): Hashing;
  [Symbol.asyncDispose](): Promise<void>;
}

interface Lane {
  readonly worker: Worker;
  readonly streams: Map<number, Stream>;
  failed: Error | undefined;
}

interface Stream {
  receive(reply: HashReply): void;
  fail(error: Error): void;
}

export function hashThreads(threads = Math.min(availableParallelism(), MAX_THREADS)): HashThreads {
  const lanes: Lane[] = [];
  const flag = endFlag();
  let nextId = 0;

  function hashing(signal?: AbortSignal): Hashing {
    const idle = lanes.find(({ streams }) => streams.size === 0);
    if (!idle && lanes.length < threads) lanes.push(startLane(flag));
    const lane = idle ?? lanes.reduce((a, b) => (b.streams.size < a.streams.size ? b : a));
    return openStream(lane, nextId++, signal);
  }

  return {
    hashing,
    [Symbol.asyncDispose]: () =>
      endThreads(
        lanes.map(({ worker }) => worker),
        flag,
      ),
  };
}

function openStream(lane: Lane, id: number, signal: AbortSignal | undefined): Hashing {
  const memory = new SharedArrayBuffer(SLOTS * HASH_SLOT);
  const slots = new Uint8Array(memory);
  const free = Array.from({ length: SLOTS }, (_, slot) => slot);
  /** The slot that is being filled, and its fill level. */
  let current: number | undefined;
  let filled = 0;
  let bytes = 0;
  let wake: { resolve(): void; reject(error: Error): void } | undefined;
  let unread: Failure | undefined;
  let sha256: Sha256 | undefined;

  const post = (request: HashRequest) => {
    if (lane.failed) throw lane.failed;
    lane.worker.postMessage(request);
  };
  lane.streams.set(id, {
    receive(reply) {
      if ('free' in reply) {
        free.push(reply.free);
        unread ??= reply.unread;
      } else sha256 = reply.sha256;
      wake?.resolve();
    },
    fail: (error) => wake?.reject(error),
  });
  lane.worker.ref();
  post({ kind: 'open', id, slots: memory });

  /** Waits for the thread's next answer. */
  const answer = () =>
    new Promise<void>((resolve, reject) => {
      if (lane.failed) reject(lane.failed);
      wake = { resolve, reject };
    });

  async function freeSlot(): Promise<number> {
    for (;;) {
      const slot = free.pop();
      if (slot !== undefined) return slot;
      await answer();
    }
  }

  function flush(): void {
    if (current !== undefined) post({ kind: 'data', id, slot: current, length: filled });
    current = undefined;
    filled = 0;
  }

  return {
    async update(chunk) {
      for (let at = 0; at < chunk.length; ) {
        current ??= await freeSlot();
        const part = chunk.subarray(at, at + HASH_SLOT - filled);
        slots.set(part, current * HASH_SLOT + filled);
        filled += part.length;
        bytes += part.length;
        at += part.length;
        if (filled === HASH_SLOT) flush();
      }
    },
    async zeros(length) {
      flush();
      for (let left = length; left > 0; ) {
        throwIfAborted(signal);
        const part = Math.min(left, ZERO_STRIDE);
        post({ kind: 'zeros', id, slot: await freeSlot(), length: part });
        bytes += part;
        left -= part;
      }
    },
    files: {
      async add({ fd, name }, start, length) {
        const openFile = { fd, name };
        flush();
        for (let at = start; at < start + length; ) {
          throwIfAborted(signal);
          if (unread) return; // `done` reports it
          const part = Math.min(start + length - at, FILE_STRIDE);
          post({ kind: 'file', id, slot: await freeSlot(), ...openFile, start: at, length: part });
          bytes += part;
          at += part;
        }
      },
      async done() {
        flush();
        while (free.length < SLOTS) await answer();
        if (unread) throw fromFailure(unread);
      },
    },
    async digest() {
      flush();
      post({ kind: 'digest', id });
      while (sha256 === undefined) await answer();
      return sha256;
    },
    [Symbol.dispose]() {
      lane.streams.delete(id);
      if (!lane.failed) lane.worker.postMessage({ kind: 'close', id } satisfies HashRequest);
      if (lane.streams.size === 0) lane.worker.unref();
    },
    get bytes() {
      return bytes;
    },
  };
}

/** Beside this file, `.ts` in the sources and `.js` once built. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js',
  import.meta.url,
);

function startLane(flag: EndFlag): Lane {
  const worker = new Worker(ENTRY, { workerData: flag });
  const lane: Lane = { worker, streams: new Map(), failed: undefined };
  worker.on('message', (reply: HashReply) => lane.streams.get(reply.id)?.receive(reply));
  const fail = (error: Error) => {
    lane.failed ??= error;
    for (const stream of lane.streams.values()) stream.fail(lane.failed);
  };
  worker.on('error', fail);
  worker.on('exit', (code) => fail(new Error(`hash worker ended (status ${code})`)));
  // An idle thread must not keep the process alive; one at work must.
  worker.unref();
  return lane;
}
