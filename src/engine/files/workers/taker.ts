import { createHash, type Hash, hash } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { osError } from '../../../core/io/os-error.ts';
import { type DiskWriter, openDiskWriter } from '../../native/workers/disk-writer.ts';
import { type ContentLookup, listOf, lookupIn } from '../contents.ts';
import { EMPTY, FILLED, type Place, TAKEN } from './messages.ts';

/** Receives contents one after the other, as they are streamed. */
export interface Taker {
  begin(size: number): void;
  write(bytes: Uint8Array): void;
  /** The SHA-256; empty if no content of this size is needed. */
  end(): string;
  close(): void;
}

/** Larger contents are written to a file first, because only their hash decides whether they are needed. */
const IN_MEMORY = 32 << 20;
const COPY = 4 << 20;

/** Hashes each. */
export function lookingTaker(): Taker {
  let hasher: Hash | undefined;
  return {
    begin() {
      hasher = createHash('sha256');
    },
    write: (bytes) => void hasher?.update(bytes),
    end: () => hasher?.digest('hex') ?? '',
    close() {},
  };
}

/** Hashes contents that may be in the list, and writes those that are in it and still missing to the base. */
export function placingTaker({ base, spill, list, states }: Place): Taker {
  const layout = listOf(list.sizes, list.digestLength, Buffer.from(list.digests));
  const lookup = lookupIn(layout);
  const filled = new Int32Array(states);
  const writer = openDiskWriter(base);
  const open = openness(layout.sizes, lookup, filled);
  const spilled = spillFile(spill);
  let buffer = Buffer.alloc(0);
  let size = 0;
  let used = 0;
  let hasher: Hash | undefined;
  let wanted = false;

  const claim = (index: number) => Atomics.compareExchange(filled, index, EMPTY, TAKEN) === EMPTY;

  return {
    begin(length) {
      size = length;
      used = 0;
      wanted = open.mayBeWanted(size);
      hasher = wanted && size > IN_MEMORY ? createHash('sha256') : undefined;
      if (wanted && !hasher && buffer.length < size) {
        buffer = Buffer.allocUnsafe(Math.min(IN_MEMORY, Math.max(1 << 20, size * 2)));
      }
    },
    write(bytes) {
      if (!wanted) return;
      if (hasher) {
        hasher.update(bytes);
        spilled.write(bytes, used);
      } else buffer.set(bytes, used);
      used += bytes.length;
    },
    end() {
      if (!wanted) return '';
      const bytes = buffer.subarray(0, size);
      const sha256 = hasher ? hasher.digest('hex') : hash('sha256', bytes, 'hex');
      const index = lookup.find(sha256, size);
      if (index < 0 || !claim(index)) return sha256;
      const offset = layout.offsets[index] ?? 0;
      if (hasher) spilled.copyTo(writer, size, offset);
      else writer.write(bytes, offset);
      Atomics.store(filled, index, FILLED);
      return sha256;
    },
    close() {
      writer.close();
      spilled.remove();
    },
  };
}

/** Sizes of contents that are still missing. */
function openness(sizes: Float64Array, lookup: ContentLookup, filled: Int32Array) {
  const indexes = new Map<number, number[]>();
  for (const [index, size] of sizes.entries()) {
    const same = indexes.get(size);
    if (same) same.push(index);
    else indexes.set(size, [index]);
  }
  return {
    mayBeWanted(size: number): boolean {
      if (!lookup.hasSize(size)) return false;
      const same = indexes.get(size);
      while (same !== undefined && same.length > 0) {
        const last = same[same.length - 1] ?? 0;
        if (Atomics.load(filled, last) === EMPTY) return true;
        same.pop();
      }
      return false;
    },
  };
}

/** A file that is created on first use and removed at the end. */
function spillFile(path: string) {
  let fd: number | undefined;
  const opened = () => {
    try {
      fd ??= openSync(path, 'wx+', 0o600);
      return fd;
    } catch (error) {
      throw osError(error, 'create', path);
    }
  };
  return {
    write(bytes: Uint8Array, position: number) {
      const file = opened();
      try {
        if (position === 0) ftruncateSync(file, 0);
        for (let at = 0; at < bytes.length; ) {
          at += writeSync(file, bytes, at, bytes.length - at, position + at);
        }
      } catch (error) {
        throw osError(error, 'write', path);
      }
    },
    copyTo(writer: DiskWriter, size: number, offset: number) {
      const file = opened();
      const piece = Buffer.allocUnsafe(Math.min(COPY, size));
      for (let at = 0; at < size; ) {
        let got: number;
        try {
          got = readSync(file, piece, 0, Math.min(piece.length, size - at), at);
        } catch (error) {
          throw osError(error, 'read', path);
        }
        if (got === 0) throw osError(new Error('the file has shrunk'), 'read', path);
        writer.write(piece.subarray(0, got), offset + at);
        at += got;
      }
    },
    remove() {
      if (fd === undefined) return;
      closeSync(fd);
      rmSync(path, { force: true });
    },
  };
}
