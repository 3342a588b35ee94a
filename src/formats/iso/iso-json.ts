import * as v from 'valibot';
import { FormatError } from '../../core/errors.ts';
import type { Iso9660 } from './iso9660.ts';

/** The JSON files in `coreos/` are a few hundred bytes; the maker of minimal ISOs pads them with spaces. */
const MAX_JSON_BYTES = 64 << 10;

/**
 * Reads a JSON file of the ISO through a schema; `undefined` if the ISO has no such file.
 *
 * @throws FormatError `ISO_BAD_JSON`, naming the file and the JSON path.
 */
export async function readIsoJson<const S extends v.GenericSchema>(
  iso: Iso9660,
  path: string,
  schema: S,
): Promise<v.InferOutput<S> | undefined> {
  const bytes = await iso.readFile(path, MAX_JSON_BYTES);
  if (bytes === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError(`${path} in the ISO is not JSON`, {
      code: 'ISO_BAD_JSON',
      context: { path },
      hint: 'use the ISO as released',
      cause,
    });
  }
  const result = v.safeParse(schema, json);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const at = v.getDotPath(issue) ?? '(top)';
  throw new FormatError(`${path} in the ISO, at ${at}: ${issue.message}`, {
    code: 'ISO_BAD_JSON',
    context: { path, at },
    hint: 'use the ISO as released',
  });
}
