import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { publishedSchemas } from './published-schemas.ts';

const FOLDER = join(import.meta.dirname, '../src/schemas');

test('the published JSON Schemas are those of the program: run `npm run schemas` after a change', () => {
  const made = publishedSchemas();
  expect(readdirSync(FOLDER).sort()).toEqual(
    Object.keys(made)
      .map((name) => `${name}.schema.json`)
      .sort(),
  );
  for (const [name, schema] of Object.entries(made)) {
    const text = readFileSync(join(FOLDER, `${name}.schema.json`), 'utf8');
    expect(JSON.parse(text), name).toEqual(JSON.parse(JSON.stringify(schema)));
  }
});
