import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { throwIfAborted } from '../errors.ts';
import type { Hashing, OpenFile, Sha256 } from '../io/digest.ts';
import { osError } from '../io/os-error.ts';
import { shortRead } from '../io/short-read.ts';

/** Bytes that go to a thread at once. */
export const HASH_SLOT = 512 << 10;
/** Slots of one hasher: the thread works on one while the caller fills another. */
const SLOTS = 4;
/** Zeros that a thread hashes between two messages. */
const ZERO_STRIDE = 32 << 20;
/** Bytes of a file that it reads and hashes between two messages. */
const FILE_STRIDE = 4 << 20;
/** More would wait for whoever reads the data. */
const MAX_THREADS = 4;

export type HashRequest =
  | { readonly kind: 'open'; readonly id: number; readonly slots: SharedArrayBuffer }
  | { readonly kind: 'data'; readonly id: number; readonly slot: number; readonly length: number }
  | { readonly kind: 'zeros'; readonly id: number; readonly slot: number; readonly length: number }
  /** The slot is the thread's to read into. */
  | {
      readonly kind: 'file';
      readonly id: number;
      readonly slot: number;
      readonly fd: number;
      readonly start: number;
      readonly length: number;
    }
  | { readonly kind: 'digest'; readonly id: number }
  | { readonly kind: 'close'; readonly id: number };

export type HashReply =
  | { readonly id: number; readonly free: number; readonly unread?: Unread }
  | { readonly id: number; readonly sha256: Sha256 };

/** Why a part of a file could not be read. */
export interface Unread {
  readonly start: number;
  readonly length: number;
  /** Where the file ends, if that is why. */
  readonly end?: number;
  readonly message: string;
  readonly errno: string | undefined;
}

/** Threads that hash, so that the caller's can do something else. They start with the first hashing. */
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
  let nextId = 0;

  function hashing(signal?: AbortSignal): Hashing {
    const idle = lanes.find(({ streams }) => streams.size === 0);
    if (!idle && lanes.length < threads) lanes.push(startLane());
    const lane = idle ?? lanes.reduce((a, b) => (b.streams.size < a.streams.size ? b : a));
    return openStream(lane, nextId++, signal);
  }

  return {
    hashing,
    async [Symbol.asyncDispose]() {
      await Promise.all(lanes.map(({ worker }) => worker.terminate()));
    },
  };
}

function openStream(lane: Lane, id: number, signal: AbortSignal | undefined): Hashing {
  const memory = new SharedArrayBuffer(SLOTS * HASH_SLOT);
  const slots = new Uint8Array(memory);
  const free = Array.from({ length: SLOTS }, (_, slot) => slot);
  /** The slot in filling, and how full it is. */
  let current: number | undefined;
  let filled = 0;
  let bytes = 0;
  let wake: { resolve(): void; reject(error: Error): void } | undefined;
  let unread: { readonly why: Unread; readonly file: OpenFile } | undefined;
  /** The one that was added last. */
  let reading: OpenFile | undefined;
  let sha256: Sha256 | undefined;

  const post = (request: HashRequest) => {
    if (lane.failed) throw lane.failed;
    lane.worker.postMessage(request);
  };
  lane.streams.set(id, {
    receive(reply) {
      if ('free' in reply) {
        free.push(reply.free);
        if (reply.unread && reading) unread ??= { why: reply.unread, file: reading };
      } else sha256 = reply.sha256;
      wake?.resolve();
    },
    fail: (error) => wake?.reject(error),
  });
  lane.worker.ref();
  post({ kind: 'open', id, slots: memory });

  /** Until the thread answers something. */
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
      async add(file, start, length) {
        flush();
        reading = file;
        for (let at = start; at < start + length; ) {
          throwIfAborted(signal);
          if (unread) return; // told by `done`
          const part = Math.min(start + length - at, FILE_STRIDE);
          post({ kind: 'file', id, slot: await freeSlot(), fd: file.fd, start: at, length: part });
          bytes += part;
          at += part;
        }
      },
      async done() {
        flush();
        while (free.length < SLOTS) await answer();
        if (unread) throw unreadError(unread.why, unread.file);
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

function unreadError({ start, length, end, message, errno }: Unread, { name }: OpenFile): unknown {
  if (end !== undefined) return shortRead(name, end, start, length);
  return osError(Object.assign(new Error(message), { code: errno }), 'read', name);
}

/** Beside this file, `.ts` in the sources and `.js` once built. */
const ENTRY = new URL(
  import.meta.url.endsWith('.ts') ? './hash-worker.ts' : './hash-worker.js',
  import.meta.url,
);

function startLane(): Lane {
  const worker = new Worker(ENTRY);
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
