import { IntegrityError } from '../../core/errors.ts';
import { oneLine } from '../../core/text/printable.ts';
import type { WantedIso } from './sources.ts';

/** Another ISO, found in the source. */
export interface OtherIso {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** From the file beside it, if there is one. */
  readonly sha256?: string | undefined;
}

const SHOWN = 8;

export function absentIso(
  source: string,
  wanted: readonly WantedIso[],
  others: readonly OtherIso[],
): IntegrityError {
  const names = wanted.map(({ name }) => name).join(', ');
  const there = others.slice(0, SHOWN).map(({ path, size, sha256 }) => {
    const digest = sha256 === undefined ? '' : `, sha256:${sha256}`;
    return oneLine(`${path} (${size} bytes${digest})`);
  });
  return new IntegrityError(`${source} does not hold ${names}`, {
    code: 'ISO_ABSENT',
    context: {
      wanted: wanted.map(({ sha256, size }) => `sha256:${sha256} (${size} bytes)`).join(', '),
      there: there.length === 0 ? 'no ISO' : there.join(', '),
    },
    hint: 'name a source of the same release, or a bundle made from the ISO in this source',
  });
}
