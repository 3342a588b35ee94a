import { UnsupportedError } from '../../core/errors.ts';

/** The error for a file that nothing here compresses like. */
export function unknownLayer(file: string, why?: string): UnsupportedError {
  return new UnsupportedError(
    `${file} is not compressed like anything that is known here${why ? `: ${why}` : ''}`,
    { code: 'RELEASED_UNKNOWN', context: { file } },
  );
}
