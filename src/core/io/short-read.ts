import { FormatError } from '../errors.ts';

/** The error of a read past the end of a file. */
export function shortRead(name: string, size: number, position: number, length: number) {
  return new FormatError(
    `${name} is truncated: wanted ${length} bytes at offset ${position}, it ends at ${size}`,
    {
      code: 'SHORT_READ',
      context: { file: name, offset: position, length, size },
      hint: 'fetch the file again',
    },
  );
}
