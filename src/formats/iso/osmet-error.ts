import { FormatError } from '../../core/errors.ts';

export function badOsmet(what: string, offset: number): FormatError {
  return new FormatError(what, { code: 'OSMET_BAD', context: { offset } });
}
