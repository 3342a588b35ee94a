import { openSync, readSync } from 'node:fs';
import { osError } from '../../../core/io/os-error.ts';
import { shortRead } from '../../../core/io/short-read.ts';

/** Reads of a file, blocking: a thread of its own has nothing else to do meanwhile. */
export interface FileReader {
  /** Fills `buffer`. Throws IoError, or FormatError `SHORT_READ`. */
  read(buffer: Uint8Array, position: number): void;
}

export function openFileReader(path: string): FileReader {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw osError(error, 'open', path);
  }
  return {
    read(buffer, position) {
      for (let done = 0; done < buffer.length; ) {
        let bytes: number;
        try {
          bytes = readSync(fd, buffer, done, buffer.length - done, position + done);
        } catch (error) {
          throw osError(error, 'read', path);
        }
        if (bytes === 0) throw shortRead(path, position + done, position, buffer.length);
        done += bytes;
      }
    },
  };
}
