import { FormatError } from '../../../core/errors.ts';

/** `offset` counts from the start of the image. */
export function badExt4(what: string, offset: number): FormatError {
  return new FormatError(`damaged ext4: ${what}`, {
    code: 'EXT4_BAD',
    context: { offset },
    hint: 'fetch the ISO again and check its SHA-256',
  });
}
