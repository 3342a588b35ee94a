import { shortRead } from './short-read.ts';
import type { Source } from './source.ts';

/** A {@link Source} over bytes in memory, without holes: for small decoded blobs and for tests. */
export function memorySource(data: Uint8Array, name = 'memory'): Source {
  const readSync = (buffer: Uint8Array, position: number): void => {
    const end = position + buffer.length;
    if (!(position >= 0 && end <= data.length)) {
      throw shortRead(name, data.length, position, buffer.length);
    }
    buffer.set(data.subarray(position, end));
  };
  const close = async (): Promise<void> => {};
  return {
    name,
    size: data.length,
    readSync,
    async read(buffer, position) {
      readSync(buffer, position);
    },
    nextData(position) {
      return position < data.length ? { start: position, end: data.length } : undefined;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
