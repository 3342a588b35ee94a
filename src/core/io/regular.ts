import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { cancelled, FormatError, throwIfAborted } from '../errors.ts';
import { osError } from './os-error.ts';

/**
 * Files that the user or another program named. open(2) of a FIFO waits for a writer, in a thread that no
 * signal ends; a device may never end, or react when it is opened. So all such files are opened, and read
 * whole up to a limit, only here (enforced by test/unit/foreign-files.test.ts).
 */
export interface OpenRegularOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Opens a regular file for reading. Throws FormatError `NOT_A_FILE`, IoError, CancelledError. */
export async function openRegular(
  path: string,
  { signal }: OpenRegularOptions = {},
): Promise<FileHandle> {
  throwIfAborted(signal);
  try {
    // Before open(2): opening a device can have an effect.
    refuseOthers(await abortable(stat(path), signal), path);
    // Without O_NONBLOCK, open(2) would block if a FIFO has replaced the file since.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    const opening = open(path, flags);
    const handle = await abortable(opening, signal, () => {
      opening.then((late) => late.close()).catch(() => {});
    });
    try {
      refuseOthers(await handle.stat(), path);
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    throw osError(error, 'open', path);
  }
}

export interface ReadWholeOptions extends OpenRegularOptions {
  /** In bytes. A larger file is a FormatError `TOO_LARGE`. */
  readonly limit: number;
  /** What the file is, for messages: `the stream JSON`. */
  readonly what: string;
  /** How to fix a file that is too large. */
  readonly hint?: string;
}

/** A regular file of at most `limit` bytes, whole. */
export async function readWhole(
  path: string,
  { limit, what, hint, signal }: ReadWholeOptions,
): Promise<Buffer> {
  const tooLarge = (size: number) =>
    new FormatError(`${what} is too large: more than ${limit} bytes`, {
      code: 'TOO_LARGE',
      context: { file: path, size, limit },
      ...(hint === undefined ? {} : { hint }),
    });
  const handle = await openRegular(path, { signal });
  try {
    const { size } = await handle.stat();
    if (size > limit) throw tooLarge(size);
    const pieces: Buffer[] = [];
    // The size is only a hint: files in /proc have none, and a file may grow.
    for (let length = 0, room = size + 1; ; room = CHUNK) {
      const piece = Buffer.allocUnsafe(Math.min(room, limit + 1 - length));
      const { bytesRead } = await abortable(handle.read(piece, 0, piece.length, length), signal);
      if (bytesRead === 0) return Buffer.concat(pieces);
      length += bytesRead;
      if (length > limit) throw tooLarge(length);
      pieces.push(piece.subarray(0, bytesRead));
    }
  } catch (error) {
    throw osError(error, 'read', path);
  } finally {
    // After an abort the read may still be stuck in the kernel, and closing would wait for it.
    const closed = handle.close();
    if (signal?.aborted) closed.catch(() => {});
    else await closed;
  }
}

const CHUNK = 64 << 10;

/** The last `length` bytes of a regular file, or all that it has. */
export async function readTail(path: string, length: number): Promise<Buffer> {
  await using handle = await openRegular(path);
  try {
    const { size } = await handle.stat();
    const tail = Buffer.alloc(Math.min(size, length));
    const { bytesRead } = await handle.read(tail, 0, tail.length, size - tail.length);
    return tail.subarray(0, bytesRead);
  } catch (error) {
    throw osError(error, 'read', path);
  }
}

function refuseOthers(found: Stats, path: string): void {
  if (found.isFile()) return;
  const kind = kindOf(found);
  throw new FormatError(`${path} is not a regular file, but a ${kind}`, {
    code: 'NOT_A_FILE',
    context: { path },
    hint: found.isDirectory() ? 'name a file' : 'save its contents to a file, and name that',
  });
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'folder';
  if (found.isFIFO()) return 'pipe';
  if (found.isSocket()) return 'socket';
  return 'device';
}

/** Settles like `work`, or rejects as soon as `signal` is aborted; `late` then receives the result. */
async function abortable<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  late?: () => void,
): Promise<T> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => {
    late?.();
    reject(cancelled(signal));
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, work]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => {});
  }
}
