import { FormatError } from '../../../core/errors.ts';

/** `offset` counts from the start of the image. */
export function badSquashfs(what: string, offset: number, cause?: unknown): FormatError {
  return new FormatError(`damaged squashfs: ${what}`, {
    code: 'SQUASHFS_BAD',
    context: { offset },
    hint: 'fetch the ISO again and check its SHA-256',
    ...(cause === undefined ? {} : { cause }),
  });
}
