import * as v from 'valibot';
import type { Sha256 } from '../io/digest.ts';

/**
 * Schemas of the fields that untrusted documents share. Their texts reach terminals and file names,
 * so each admits only what its field needs: no control characters, no slashes, bounded lengths.
 */

/** 64 lower-case hex digits. */
export const sha256Field: v.GenericSchema<string, Sha256> = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 of 64 lower-case hex digits'),
  v.transform((text) => text as Sha256),
);

/** A platform or format name such as `metal` or `4k.raw.xz`. */
export const nameField = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/, 'expected a name of letters, digits and ._+-'),
);

export const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._+~^:@=,-]{0,254}$/;

/** A bare file name: no folder, not hidden, only characters that are safe in shells and terminals. */
export const fileNameField = v.pipe(
  v.string(),
  v.regex(FILE_NAME, 'expected a plain file name without folders'),
);

/** One line of printable text, at most `max` UTF-16 units. */
export function textField(max: number) {
  return v.pipe(
    v.string(),
    v.maxLength(max, `expected at most ${max} characters`),
    v.regex(/^\P{C}*$/u, 'expected one line of printable text'),
  );
}

/** A size in bytes, limited to keep sums of sizes within safe integers. */
export const sizeField = v.pipe(
  v.number(),
  v.safeInteger('expected a whole number'),
  v.minValue(0, 'expected a size of at least 0'),
  v.maxValue(64 * 2 ** 40, 'expected a size of at most 64 TiB'),
);

export const countField = v.pipe(
  v.number(),
  v.safeInteger('expected a whole number'),
  v.minValue(0, 'expected at least 0'),
);
