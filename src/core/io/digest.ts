import { createHash } from 'node:crypto';
import { setImmediate as breathe } from 'node:timers/promises';
import { throwIfAborted } from '../errors.ts';
import { zeroChunks } from './zero.ts';

/** A SHA-256 as 64 lower-case hex digits. */
export type Sha256 = string & { readonly __sha256: unique symbol };

export function isSha256(text: string): text is Sha256 {
  return /^[0-9a-f]{64}$/.test(text);
}

export interface Hasher {
  update(chunk: Uint8Array): void;
  /** Hashes `length` zero bytes without needing them in memory. Runs at full speed, blocking. */
  zeros(length: number): void;
  /** Ends the hash; call once. */
  digest(): Sha256;
  /** Bytes hashed so far. */
  readonly bytes: number;
}

/** An open file and its name for messages. */
export interface OpenFile {
  readonly fd: number;
  readonly name: string;
}

/** A hasher that may run in another thread: await each call before the next, and dispose of it. */
export interface Hashing extends Disposable {
  /** Resolves when the chunk may be reused. */
  update(chunk: Uint8Array): Promise<void>;
  zeros(length: number): Promise<void>;
  /** Hashes parts of files that a thread reads itself; absent when hashing runs in the caller's thread. */
  readonly files?: {
    /** May resolve before the part is read. */
    add(file: OpenFile, start: number, length: number): Promise<void>;
    /** Resolves, or throws as {@link Source.read} does, once the files are no longer needed. */
    done(): Promise<void>;
  };
  /** Ends the hash; call once. */
  digest(): Promise<Sha256>;
  /** Bytes taken so far. */
  readonly bytes: number;
}

/** SHA-256 (OpenSSL's, so SHA-NI where the CPU has it). */
export function createHasher(): Hasher {
  const hash = createHash('sha256');
  let bytes = 0;
  return {
    update(chunk) {
      hash.update(chunk);
      bytes += chunk.length;
    },
    zeros(length) {
      for (const chunk of zeroChunks(length)) hash.update(chunk);
      bytes += length;
    },
    digest: () => hash.digest('hex') as Sha256,
    get bytes() {
      return bytes;
    },
  };
}

/** Zeros hashed between two turns of the event loop (about 30 ms): keeps Ctrl-C and progress alive. */
const ZERO_STRIDE = 64 << 20;

/** Hashes in this thread. */
export function hashingHere(signal?: AbortSignal): Hashing {
  const hasher = createHasher();
  return {
    async update(chunk) {
      hasher.update(chunk);
    },
    async zeros(length) {
      for (let left = length; left > 0; left -= ZERO_STRIDE) {
        throwIfAborted(signal);
        hasher.zeros(Math.min(left, ZERO_STRIDE));
        if (left > ZERO_STRIDE) await breathe();
      }
    },
    digest: async () => hasher.digest(),
    [Symbol.dispose]() {},
    get bytes() {
      return hasher.bytes;
    },
  };
}

/** The SHA-256 of bytes in memory. */
export function sha256Of(bytes: Uint8Array): Sha256 {
  const hasher = createHasher();
  hasher.update(bytes);
  return hasher.digest();
}

/** Identifies a blob: an OCI descriptor's digest and size. */
export interface BlobRef {
  readonly sha256: Sha256;
  /** Bytes. */
  readonly size: number;
}
