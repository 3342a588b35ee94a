import { FormatError } from '../../core/errors.ts';
import { FILE_NAME } from '../../core/json/fields.ts';

export const COMPRESSIONS = ['xz', 'gz', 'zst', 'zip'] as const;
/** How the released file is wrapped; `none` is served as is. */
export type Compression = (typeof COMPRESSIONS)[number] | 'none';

/**
 * The file name in an artifact's `location`: the last segment of the URL's path (or of a plain
 * path), percent-decoded once. Never made up from platform and format. Throws FormatError
 * `LOCATION_NAME` if it is not a plain file name.
 */
export function nameOfLocation(location: string, where: string): string {
  let name: string | undefined;
  try {
    const path = URL.canParse(location)
      ? new URL(location).pathname
      : location.replace(/[?#].*$/s, '');
    name = decodeURIComponent(path.slice(path.lastIndexOf('/') + 1));
  } catch {
    // Malformed percent escapes: no name.
  }
  if (name === undefined || !FILE_NAME.test(name)) {
    throw new FormatError(`the location of ${where} does not end in a usable file name`, {
      code: 'LOCATION_NAME',
      context: { artifact: where, location: location.slice(0, 200) },
    });
  }
  return name;
}

/** `x.qcow2.xz` → `x.qcow2` and `xz`; also .gz, .zst and .zip (for Windows, coreos-assembler zips). */
export function splitCompression(name: string): { name: string; compression: Compression } {
  for (const compression of COMPRESSIONS) {
    const suffix = `.${compression}`;
    if (name.endsWith(suffix) && name.length > suffix.length) {
      return { name: name.slice(0, -suffix.length), compression };
    }
  }
  return { name, compression: 'none' };
}
