import { FormatError } from '../../core/errors.ts';
import { decompress } from './decompress.ts';
import type { Unit } from './root-files.ts';

/** Unpacks a unit from its stored bytes. Throws FormatError `ROOT_BLOCK`, without the offset. */
export function unpackUnit(unit: Omit<Unit, 'offset'>, stored: Uint8Array): Uint8Array {
  const { codec, length, exact, partial, padding = 0 } = unit;
  let start = 0;
  while (start < padding && start < stored.length && stored[start] === 0) start++;
  const bytes = decompress(codec, stored.subarray(start), length, partial ? 'part' : 'whole');
  if (exact && bytes.length !== length) {
    throw new FormatError(`it has ${bytes.length} bytes instead of ${length}`, {
      code: 'ROOT_BLOCK',
    });
  }
  return bytes;
}
