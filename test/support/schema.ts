import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';

/** Errors that an independent validator finds in JSON, by one of the published schemas. */
export function schemaErrors(name: string, value: unknown): string[] {
  const path = join(import.meta.dirname, '../../src/schemas', `${name}.schema.json`);
  const ajv = new Ajv({ allErrors: true, strict: true });
  const validate = ajv.compile(JSON.parse(readFileSync(path, 'utf8')));
  validate(value);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
