import type { FileHandle } from 'node:fs/promises';
import { seekData } from './libc.ts';
import { osError } from './os-error.ts';
import { readFully } from './read-fully.ts';
import { openRegular } from './regular.ts';
import { shortRead } from './short-read.ts';

/** A half-open byte range. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Random access to a file whose holes are known. */
export interface Source {
  /** For messages: the path, or a description of the bytes. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** The file descriptor if the source is a whole file, for a thread that reads it directly. */
  readonly fd?: number;
  /** Fills all of `buffer` from `position`. Throws FormatError `SHORT_READ` past the end. */
  read(buffer: Uint8Array, position: number): Promise<void>;
  /**
   * Like `read`, but blocking: for loops over the page cache, where a promise would cost more than the
   * read.
   */
  readSync(buffer: Uint8Array, position: number): void;
  /** The next data region at or after `position`; `undefined` if only a hole is left. */
  nextData(position: number): Range | undefined;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a regular file for reading. Throws the errors of {@link openRegular}. */
export async function openSource(path: string, signal?: AbortSignal): Promise<Source> {
  const handle = await openRegular(path, { signal });
  try {
    return fileSource(handle, path, (await handle.stat()).size);
  } catch (error) {
    await handle.close();
    throw osError(error, 'open', path);
  }
}

function fileSource(handle: FileHandle, path: string, size: number): Source {
  const close = () => handle.close();
  const checkRange = (length: number, position: number) => {
    if (position < 0 || position + length > size) throw shortRead(path, size, position, length);
  };
  // Consecutive calls usually ask for the same region, so the last answer is kept.
  let known: { from: number; range: Range | undefined } | undefined;
  return {
    name: path,
    size,
    fd: handle.fd,
    async read(buffer, position) {
      checkRange(buffer.length, position);
      for (let done = 0; done < buffer.length; ) {
        let bytesRead: number;
        try {
          ({ bytesRead } = await handle.read(buffer, done, buffer.length - done, position + done));
        } catch (error) {
          throw osError(error, 'read', path);
        }
        if (bytesRead === 0) throw shortRead(path, position + done, position, buffer.length);
        done += bytesRead;
      }
    },
    readSync(buffer, position) {
      checkRange(buffer.length, position);
      readFully(handle.fd, path, buffer, position);
    },
    nextData(position) {
      if (
        known &&
        position >= known.from &&
        (known.range === undefined || position < known.range.end)
      ) {
        const range = known.range;
        return range && { start: Math.max(position, range.start), end: range.end };
      }
      const range = seekData(handle.fd, position, size);
      known = { from: position, range };
      return range;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Closes each source and empties the map. */
export async function closeAll(sources: Map<string, Source>): Promise<void> {
  for (const source of sources.values()) await source.close();
  sources.clear();
}
