import { createHasher, type Sha256 } from '../../../core/io/digest.ts';

const CHUNK = 1 << 20;

/** The contents of a block, and their digest. */
export interface BlockContents {
  readonly pieces: readonly (Uint8Array<ArrayBuffer> | number)[];
  readonly size: number;
  readonly sha256: Sha256;
}

export interface Collector {
  write(chunk: Uint8Array): Promise<void>;
  zeros(length: number): Promise<void>;
  done(): BlockContents;
}

/** Keeps a block in memory: long runs of zeros as their length, the rest in pieces that can be moved to a thread. */
export function blockCollector(): Collector {
  const hasher = createHasher();
  const pieces: (Uint8Array<ArrayBuffer> | number)[] = [];
  let buffer: Uint8Array<ArrayBuffer> | undefined;
  let filled = 0;
  function flush(): void {
    if (buffer !== undefined) pieces.push(buffer.subarray(0, filled));
    buffer = undefined;
    filled = 0;
  }
  return {
    async write(chunk) {
      hasher.update(chunk);
      for (let at = 0; at < chunk.length; ) {
        buffer ??= new Uint8Array(CHUNK);
        const part = chunk.subarray(at, at + CHUNK - filled);
        buffer.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === CHUNK) flush();
      }
    },
    async zeros(length) {
      hasher.zeros(length);
      flush();
      pieces.push(length);
    },
    done() {
      flush();
      return { pieces, size: hasher.bytes, sha256: hasher.digest() };
    },
  };
}
