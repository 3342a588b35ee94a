import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';

/** Complaints of an independent validator about JSON, by a schema that is published. */
export function schemaErrors(name: string, value: unknown): string[] {
  const path = join(import.meta.dirname, '../../src/schemas', `${name}.schema.json`);
  const ajv = new Ajv({ allErrors: true, strict: true });
  const validate = ajv.compile(JSON.parse(readFileSync(path, 'utf8')));
  validate(value);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
