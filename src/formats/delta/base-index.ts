import { setImmediate as breathe } from 'node:timers/promises';
import { throwIfAborted } from '../../core/errors.ts';
import type { Source } from '../../core/io/source.ts';
import { isZero } from '../../core/io/zero.ts';
import { hashBlock } from './rolling-hash.ts';

/** Blocks of the base by weak hash, and its longest run of zeros. Serves any number of targets. */
export interface BaseIndex {
  /** Block size in bytes; blocks lie on this grid of the base. */
  readonly block: number;
  /** Longest aligned zero run of the base, bytes; empty if there is none. */
  readonly zeroRun: { readonly start: number; readonly length: number };
  /** Offset of a block whose weak hash is `hash`, or -1. The caller must verify it. */
  find(hash: number): number;
}

const MIN_BLOCK = 1024;
/** Keeps the tables under 48 MiB whatever the base's size; larger bases get larger blocks. */
const MAX_BLOCKS = 4 << 20;
const READ = 1 << 20;
const FILTER_BITS = 24;

/** Reads the data regions of `base` once. */
export async function indexBase(
  base: Source,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly onBytes?: ((done: number) => void) | undefined;
  } = {},
): Promise<BaseIndex> {
  let block = MIN_BLOCK;
  while (dataBytes(base) / block > MAX_BLOCKS) block *= 2;

  const table = createTable(Math.ceil(dataBytes(base) / block));
  const zeroRun = createLongestRun();
  const buffer = Buffer.allocUnsafe(READ);
  for (let at = 0; at < base.size; ) {
    throwIfAborted(options.signal);
    const data = base.nextData(at);
    const dataStart = data === undefined ? base.size : data.start - (data.start % block);
    if (dataStart > at) {
      zeroRun.add(at, dataStart - at);
      at = dataStart;
      continue;
    }
    const length = Math.min(READ, base.size - at);
    const chunk = buffer.subarray(0, length);
    base.readSync(chunk, at);
    for (let i = 0; i < length; i += block) {
      const end = Math.min(i + block, length);
      if (isZero(chunk, i, end)) zeroRun.add(at + i, end - i);
      else if (end - i === block) table.add(hashBlock(chunk, i, block), (at + i) / block);
    }
    at += length;
    options.onBytes?.(at);
    await breathe();
  }
  return {
    block,
    zeroRun: zeroRun.longest(),
    find(hash) {
      const index = table.find(hash);
      return index < 0 ? -1 : index * block;
    },
  };
}

function dataBytes(base: Source): number {
  let bytes = 0;
  for (let data = base.nextData(0); data; data = base.nextData(data.end)) {
    bytes += data.end - data.start;
  }
  return bytes;
}

function createLongestRun() {
  let best = { start: 0, length: 0 };
  let current = { start: 0, length: 0 };
  return {
    add(start: number, length: number) {
      current =
        current.start + current.length === start
          ? { start: current.start, length: current.length + length }
          : { start, length };
      if (current.length > best.length) best = current;
    },
    longest: () => best,
  };
}

/**
 * Open addressing, first block of a hash wins (equal blocks are equally good). A bit filter in
 * front answers the usual "no" of the byte-by-byte scan from the L2 cache.
 */
function createTable(expected: number) {
  const bits = Math.max(8, Math.ceil(Math.log2(Math.max(1, expected) * 2)));
  const slots = 2 ** bits;
  const mask = slots - 1;
  const hashes = new Int32Array(slots);
  const blocks = new Int32Array(slots).fill(-1);
  const filter = new Uint8Array(2 ** (FILTER_BITS - 3));
  // A free slot must remain, or `find` would never end; tiny fragments could exceed the estimate.
  let room = slots - (slots >> 2);
  // The polynomial hash is weak in its low bits: spread it first (Fibonacci hashing).
  const spread = (hash: number) => Math.imul(hash ^ (hash >>> 15), 0x9e3779b1);
  return {
    add(hash: number, block: number) {
      if (room === 0) return;
      const key = spread(hash);
      const bit = key >>> (32 - FILTER_BITS);
      filter[bit >> 3] = (filter[bit >> 3] ?? 0) | (1 << (bit & 7));
      for (let slot = (key >>> 7) & mask; ; slot = (slot + 1) & mask) {
        if (blocks[slot] === -1) {
          blocks[slot] = block;
          hashes[slot] = hash;
          room--;
          return;
        }
        if (hashes[slot] === hash) return;
      }
    },
    find(hash: number): number {
      const key = spread(hash);
      const bit = key >>> (32 - FILTER_BITS);
      if (((filter[bit >> 3] ?? 0) & (1 << (bit & 7))) === 0) return -1;
      for (let slot = (key >>> 7) & mask; ; slot = (slot + 1) & mask) {
        const block = blocks[slot] ?? -1;
        if (block === -1 || hashes[slot] === hash) return block;
      }
    },
  };
}
