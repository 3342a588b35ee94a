import * as v from 'valibot';
import { FormatError } from '../errors.ts';

export interface ParseOptions {
  /** The kind of document, for messages: `stream JSON`, `recipe manifest`… */
  readonly what: string;
  /** Its origin: a path or a digest. */
  readonly source: string;
  /** Whether errors must not quote it. */
  readonly secret?: boolean;
}

type AnySchema = v.GenericSchema;

/**
 * Decodes untrusted JSON against a schema. Throws FormatError `JSON_SYNTAX` or `JSON_SCHEMA`; the
 * latter names the first offending JSON path, e.g. `$.architectures.x86_64.artifacts["a.b"].release`.
 */
export function parseJson<S extends AnySchema>(
  bytes: Uint8Array,
  schema: S,
  { what, source, secret = false }: ParseOptions,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new FormatError(`the ${what} is not valid JSON`, {
      code: 'JSON_SYNTAX',
      context: { file: source },
      hint: isWide(bytes) ? 'convert it to UTF-8' : 'check that the file is complete',
      ...(secret ? {} : { cause: error }),
    });
  }
  const result = v.safeParse(schema, value, { abortPipeEarly: true });
  if (result.success) return result.output;
  const [issue, ...more] = result.issues;
  const path = jsonPath(issue.path?.map((item) => item.key) ?? []);
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  throw new FormatError(`the ${what} is malformed at ${path}: ${issue.message}${others}`, {
    code: 'JSON_SCHEMA',
    context: { file: source, jsonPath: path },
  });
}

/** UTF-16 or UTF-32, as some editors and shells write it: JSON begins with two ASCII characters, or a mark. */
const isWide = ([a = 1, b = 1]: Uint8Array): boolean => a === 0 || b === 0 || a >= 0xfe;

/** `$.a[0]["b.c"]`; keys that are not identifiers are quoted, so that the path is unambiguous. */
export function jsonPath(keys: readonly unknown[]): string {
  let path = '$';
  for (const key of keys) {
    if (typeof key === 'number') path += `[${key}]`;
    else if (typeof key === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(key)) path += `.${key}`;
    else path += `[${JSON.stringify(String(key).slice(0, 80))}]`;
  }
  return path;
}
