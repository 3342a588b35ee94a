import { shortRead } from './short-read.ts';
import type { Source } from './source.ts';

/**
 * `length` bytes of a source from `start`, as a source. Closing it does nothing: the caller closes the
 * outer one.
 */
export function sliceSource(outer: Source, start: number, length: number): Source {
  if (start < 0 || length < 0 || start + length > outer.size) {
    throw shortRead(outer.name, outer.size, start, length);
  }
  const check = (size: number, position: number) => {
    if (position < 0 || position + size > length) {
      throw shortRead(outer.name, length, position, size);
    }
  };
  const close = async (): Promise<void> => {};
  return {
    name: outer.name,
    size: length,
    async read(buffer, position) {
      check(buffer.length, position);
      await outer.read(buffer, start + position);
    },
    readSync(buffer, position) {
      check(buffer.length, position);
      outer.readSync(buffer, start + position);
    },
    nextData(position) {
      const data = position < length ? outer.nextData(start + position) : undefined;
      if (data === undefined || data.start >= start + length) return undefined;
      return { start: data.start - start, end: Math.min(data.end - start, length) };
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
