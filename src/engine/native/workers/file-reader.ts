import { closeSync, openSync } from 'node:fs';
import { osError } from '../../../core/io/os-error.ts';
import { readFully } from '../../../core/io/read-fully.ts';

/** Blocking reads of a file, for a thread with nothing else to do. */
export interface FileReader {
  /** Fills `buffer`. Throws IoError, or FormatError `SHORT_READ`. */
  read(buffer: Uint8Array, position: number): void;
  close(): void;
}

export function openFileReader(path: string): FileReader {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    throw osError(error, 'open', path);
  }
  return {
    read: (buffer, position) => readFully(fd, path, buffer, position),
    close: () => closeSync(fd),
  };
}
