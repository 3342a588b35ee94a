import { closeSync, openSync, writeSync } from 'node:fs';
import { osError } from '../../../core/io/os-error.ts';
import { HOLE_BLOCK, zeroRuns } from '../../../core/io/zero.ts';

export interface DiskWriter {
  /** Writes only nonzero data, because the disk starts as one hole. Throws IoError. */
  write(bytes: Uint8Array, position: number): void;
  close(): void;
}

/** Opens an existing disk for blocking writes at any offset. */
export function openDiskWriter(path: string): DiskWriter {
  let fd: number;
  try {
    fd = openSync(path, 'r+');
  } catch (error) {
    throw osError(error, 'open', path);
  }
  return {
    write(bytes, position) {
      try {
        for (const { zero, start, end } of zeroRuns(bytes, position, HOLE_BLOCK)) {
          for (let at = start; !zero && at < end; ) {
            at += writeSync(fd, bytes, at, end - at, position + at);
          }
        }
      } catch (error) {
        throw osError(error, 'write', path);
      }
    },
    close: () => closeSync(fd),
  };
}
