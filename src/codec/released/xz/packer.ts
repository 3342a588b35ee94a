import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { isZero, ZEROS } from '../../../core/io/zero.ts';
import type { Liblzma } from '../layer.ts';
import { stored } from './container.ts';
import { type LzmaExports, sharedLzma } from './module.ts';

/** LZMA2 data of one block. */
export interface LzmaSpec {
  readonly codec: 'lzma2';
  readonly library: Liblzma;
  /** As liblzma's functions take it. */
  readonly preset: number;
  /** The type of the check. */
  readonly check: number;
  /** More bytes than that are not made: the block is stored then. Its contents are kept in memory. */
  readonly limit?: number | undefined;
}

/** One block. `finish` gives the check last. */
export async function lzmaPacker({ library, preset, check, limit }: LzmaSpec) {
  const wasm = await sharedLzma(library);
  const status = wasm.start(preset);
  if (status !== 0) throw new Error(`liblzma does not start (${status})`);
  const checking = checkOf(check, wasm);
  const kept: Uint8Array[] = [];
  let made = 0;
  let tooMuch = false;

  function* pass(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
    for (const piece of pieces) {
      made += piece.length;
      if (limit !== undefined && made > limit) tooMuch = true;
      if (tooMuch) return;
      yield piece;
    }
  }
  return {
    *push(chunk: Uint8Array): Generator<Uint8Array> {
      if (limit !== undefined)
        kept.push(isZero(chunk) ? ZEROS.subarray(0, chunk.length) : chunk.slice());
      if (tooMuch) checking.update(chunk);
      else yield* pass(feed(wasm, chunk, checking));
    },
    *finish(): Generator<Uint8Array> {
      if (!tooMuch) yield* pass(drain(wasm, 1));
    },
    /** After `finish`. */
    check: () => checking.digest(),
    /** Stored bytes that replace the whole output, if that was too much. */
    stored(): Uint8Array[] | undefined {
      if (!tooMuch) return undefined;
      return [...stored(Buffer.concat(kept))];
    },
  };
}

/** Chunks of the module's buffer, or of less. */
function* feed(wasm: LzmaExports, chunk: Uint8Array, checking: Checking): Generator<Uint8Array> {
  const size = wasm.bufferSize();
  for (let at = 0; at < chunk.length; at += size) {
    const part = chunk.subarray(at, at + size);
    checking.update(part); // through the same buffer, if it is a CRC64
    new Uint8Array(wasm.memory.buffer, wasm.input(), part.length).set(part);
    wasm.feed(part.length);
    yield* drain(wasm, 0);
  }
}

function* drain(wasm: LzmaExports, finish: 0 | 1): Generator<Uint8Array> {
  for (;;) {
    const made = wasm.step(finish);
    if (made < 0) throw new Error(`LZMA2 failed (liblzma: ${-made})`);
    if (made > 0) yield new Uint8Array(wasm.memory.buffer, wasm.output(), made);
    if (made < wasm.bufferSize()) return; // room was left: all input is used up
  }
}

interface Checking {
  update(chunk: Uint8Array): void;
  digest(): Uint8Array;
}

const CRC32 = 1;
const CRC64 = 4;
const SHA256 = 10;

function checkOf(type: number, wasm: LzmaExports): Checking {
  switch (type) {
    case CRC32: {
      let crc = 0;
      return {
        update(chunk) {
          crc = crc32(chunk, crc);
        },
        digest() {
          const bytes = Buffer.alloc(4);
          bytes.writeUInt32LE(crc);
          return bytes;
        },
      };
    }
    case CRC64: {
      let crc = 0n;
      return {
        update(chunk) {
          crc = BigInt.asUintN(64, crc64(wasm, chunk, crc));
        },
        digest() {
          const bytes = Buffer.alloc(8);
          bytes.writeBigUInt64LE(crc);
          return bytes;
        },
      };
    }
    case SHA256: {
      const hash = createHash('sha256');
      return {
        update(chunk) {
          hash.update(chunk);
        },
        digest: () => hash.digest(),
      };
    }
    default:
      return { update() {}, digest: () => new Uint8Array(0) };
  }
}

function crc64(wasm: LzmaExports, chunk: Uint8Array, before: bigint): bigint {
  const size = wasm.bufferSize();
  let crc = before;
  for (let at = 0; at < chunk.length; at += size) {
    const part = chunk.subarray(at, at + size);
    new Uint8Array(wasm.memory.buffer, wasm.input(), part.length).set(part);
    crc = wasm.crc64(part.length, crc);
  }
  return crc;
}
