import { readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { FormatError } from '../errors.ts';
import { seekData } from './libc.ts';
import { osError } from './os-error.ts';
import { shortRead } from './short-read.ts';

/** A half-open byte range. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Random access to a file whose holes are known. */
export interface Source {
  /** For messages: the path, or what else the bytes are. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Where it is a file as it lies there: for a thread that reads it itself. */
  readonly fd?: number;
  /** Fills all of `buffer` from `position`. Throws FormatError `SHORT_READ` past the end. */
  read(buffer: Uint8Array, position: number): Promise<void>;
  /** As `read`, blocking: for loops over the page cache in which a promise each would cost more. */
  readSync(buffer: Uint8Array, position: number): void;
  /** The next data region at or after `position`; `undefined` if only a hole is left. */
  nextData(position: number): Range | undefined;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens a regular file for reading. Throws IoError if the system refuses. */
export async function openSource(path: string): Promise<Source> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw osError(error, 'open', path);
  }
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new FormatError(`${path} is not a regular file`, {
        code: 'NOT_A_FILE',
        context: { path },
      });
    }
    return fileSource(handle, path, stat.size);
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
  // Neighbouring calls mostly ask for the same region: remember the last answer.
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
      for (let done = 0; done < buffer.length; ) {
        let bytesRead: number;
        try {
          bytesRead = readSync(handle.fd, buffer, done, buffer.length - done, position + done);
        } catch (error) {
          throw osError(error, 'read', path);
        }
        if (bytesRead === 0) throw shortRead(path, position + done, position, buffer.length);
        done += bytesRead;
      }
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
