import { FormatError, RehydrateError } from '../../../core/errors.ts';
import { isZero } from '../../../core/io/zero.ts';
import { decodeXz } from '../../../formats/xz/stream.ts';
import { type DiskWriter, openDiskWriter } from './disk-writer.ts';
import { type FileReader, openFileReader } from './file-reader.ts';
import type { FillRole } from './messages.ts';

const CHUNK = 256 << 10;
/** Bytes of the disk between two messages about it. */
const STRIDE = 8 << 20;

/** The thread's work, from start to end. Throws FormatError `OSMET_STREAM`. */
export function fill(role: FillRole, filled: (upTo: number) => void): void {
  fillRanges(role, openFileReader(role.iso), openDiskWriter(role.output), filled);
}

export function fillRanges(
  { name, iso, start, end, ranges }: Omit<FillRole, 'role' | 'output'>,
  reader: FileReader,
  disk: Pick<DiskWriter, 'write'>,
  filled: (upTo: number) => void,
): void {
  let read = start;
  let buffer = Buffer.alloc(0);
  let at = 0;
  /** A chunk of LZMA2 is at most 64 KiB, so this never has to hold much. */
  const take = (length: number): Uint8Array => {
    if (buffer.length - at < length) {
      const rest = buffer.subarray(at);
      const more = Math.min(Math.max(CHUNK, length), end - read);
      if (rest.length + more < length) throw new Error('the stream ends too early');
      const next = Buffer.allocUnsafe(rest.length + more);
      rest.copy(next);
      reader.read(next.subarray(rest.length), read);
      read += more;
      buffer = next;
      at = 0;
    }
    at += length;
    return buffer.subarray(at - length, at);
  };

  let index = 0;
  let position = ranges[0] ?? 0;
  let told = 0;
  /** Consumes `length` bytes of the stream, range by range. */
  const advance = (length: number, each: (at: number, from: number, to: number) => void) => {
    for (let done = 0; done < length; ) {
      const rangeEnd = ranges[index + 1];
      if (rangeEnd === undefined) throw new Error('the stream is longer than its disk');
      const part = Math.min(length - done, rangeEnd - position);
      each(position, done, done + part);
      done += part;
      position += part;
      if (position === rangeEnd) {
        index += 2;
        position = ranges[index] ?? Number.POSITIVE_INFINITY;
      }
    }
    if (position - told >= STRIDE) {
      told = position;
      filled(position);
    }
  };

  try {
    decodeXz(take, {
      data: (bytes) =>
        advance(bytes.length, (where, from, to) => disk.write(bytes.subarray(from, to), where)),
      zeros: (length) => advance(length, () => {}),
    });
    if (ranges[index] !== undefined) {
      throw new Error(`the stream ends at ${position} of the disk, too early`);
    }
    // As xz has it, zeros may fill up the file; another stream would be more of the disk.
    for (let left = end - read + buffer.length - at; left > 0; left -= CHUNK) {
      if (!isZero(take(Math.min(left, CHUNK)))) throw new Error('there are bytes after its end');
    }
  } catch (error) {
    if (error instanceof RehydrateError && error.kind !== 'format') throw error;
    const why = error instanceof Error ? error.message : String(error);
    const offset = read - (buffer.length - at);
    throw new FormatError(`the xz stream of ${name} is damaged: ${why}`, {
      code: 'OSMET_STREAM',
      context: { osmet: name, iso, offset },
      hint: 'fetch the ISO again and check its SHA-256',
      cause: error,
    });
  }
  filled(Number.POSITIVE_INFINITY);
}
