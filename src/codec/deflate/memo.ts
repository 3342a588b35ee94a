import { createHash } from 'node:crypto';
import { readSync, writeSync } from 'node:fs';
import { openUnnamed } from '../../core/io/unnamed.ts';
import type { Deflater } from './deflater.ts';
import type { DeflateParams } from './params.ts';

/**
 * A shared memory of deflated data for all threads: the VMDKs of aws, vmware and virtualbox share nearly
 * all grains, and dehydrate deflates the same data again when it verifies the bundle. A lookup is much
 * faster than deflating.
 *
 * Compressed pieces are in an unnamed file, one after the other, indexed by a hash table in shared memory.
 * Keys are 128 bits of a SHA-256. When full or failing, it only stops helping.
 */
export interface DeflateMemo extends AsyncDisposable {
  readonly shared: SharedMemo;
}

/** The data that a thread needs; can be posted. */
export interface SharedMemo {
  readonly fd: number;
  readonly table: SharedArrayBuffer;
}

/** Entries, 16 GiB in grains of 64 KiB; 12 MiB of memory, of which the system gives what is touched. */
const SLOTS = 1 << 18;
/** Bytes of the file. */
const MAX_FILE = 8 * 2 ** 30;
const PROBES = 16;
/** Smaller inputs are deflated faster than looked up. */
const MIN_RAW = 4096;
const KEY_BYTES = 16;
const FREE = 0;
const TAKEN = 1;
const READY = 2;

/** Opens a memo, in an unnamed file in `folder`. */
export async function openMemo(folder: string): Promise<DeflateMemo> {
  const handle = await openUnnamed(folder, 'deflated');
  const table = new SharedArrayBuffer(8 + SLOTS * (4 + 4 + 8 + KEY_BYTES));
  return {
    shared: { fd: handle.fd, table },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** Wraps a deflater so that it uses the memo. */
export function remembering(deflater: Deflater, memo: SharedMemo): Deflater {
  const entries = entriesOf(memo);
  return {
    ...deflater,
    compress(input, params) {
      if (input.length < MIN_RAW) return deflater.compress(input, params);
      const key = keyOf(input, params);
      const known = entries.find(key);
      if (known) return known;
      const made = deflater.compress(input, params);
      entries.add(key, made);
      return made;
    },
  };
}

function keyOf(input: Uint8Array, params: DeflateParams): Buffer {
  const { implementation, format, level, windowBits, memLevel, strategy, blockSize } = params;
  const how = [implementation, format, level, windowBits, memLevel, strategy, blockSize].join();
  return createHash('sha256').update(`${how}\n`).update(input).digest().subarray(0, KEY_BYTES);
}

function entriesOf({ fd, table }: SharedMemo) {
  const end = new BigInt64Array(table, 0, 1);
  const starts = new BigInt64Array(table, 8, SLOTS);
  const states = new Int32Array(table, 8 + SLOTS * 8, SLOTS);
  const lengths = new Int32Array(table, 8 + SLOTS * 12, SLOTS);
  const keys = new Uint8Array(table, 8 + SLOTS * 16, SLOTS * KEY_BYTES);
  const keyAt = (slot: number) => keys.subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES);

  function* slotsOf(key: Buffer): Generator<number> {
    const first = key.readUInt32LE(0);
    for (let i = 0; i < PROBES; i++) yield (first + i) % SLOTS;
  }

  return {
    find(key: Buffer): Uint8Array | undefined {
      for (const slot of slotsOf(key)) {
        const state = Atomics.load(states, slot);
        if (state === FREE) return undefined;
        if (state !== READY || key.compare(keyAt(slot)) !== 0) continue;
        const bytes = new Uint8Array(lengths[slot] ?? 0);
        try {
          if (readSync(fd, bytes, 0, bytes.length, Number(starts[slot])) === bytes.length) {
            return bytes;
          }
        } catch {}
        return undefined;
      }
      return undefined;
    },
    add(key: Buffer, bytes: Uint8Array): void {
      const start = Number(Atomics.add(end, 0, BigInt(bytes.length)));
      if (start + bytes.length > MAX_FILE) return;
      try {
        if (writeSync(fd, bytes, 0, bytes.length, start) !== bytes.length) return;
      } catch {
        return; // no space, for example
      }
      for (const slot of slotsOf(key)) {
        if (Atomics.compareExchange(states, slot, FREE, TAKEN) !== FREE) continue;
        keyAt(slot).set(key);
        lengths[slot] = bytes.length;
        starts[slot] = BigInt(start);
        Atomics.store(states, slot, READY);
        return;
      }
    },
  };
}
