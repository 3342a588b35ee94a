import { readSync } from 'node:fs';
import { osError } from './os-error.ts';
import { shortRead } from './short-read.ts';

/**
 * Fills `buffer` from an open file, blocking. Throws IoError, or FormatError `SHORT_READ` where the file
 * ends; both name the file.
 */
export function readFully(fd: number, name: string, buffer: Uint8Array, position: number): void {
  for (let done = 0; done < buffer.length; ) {
    let bytes: number;
    try {
      bytes = readSync(fd, buffer, done, buffer.length - done, position + done);
    } catch (error) {
      throw osError(error, 'read', name);
    }
    if (bytes === 0) throw shortRead(name, position + done, position, buffer.length);
    done += bytes;
  }
}
