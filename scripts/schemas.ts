import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publishedSchemas } from './published-schemas.ts';

/** Writes the JSON Schemas of the program's outputs: `npm run schemas`. */
for (const [name, schema] of Object.entries(publishedSchemas())) {
  const path = join(import.meta.dirname, '../src/schemas', `${name}.schema.json`);
  writeFileSync(path, `${JSON.stringify(schema, undefined, 2)}\n`);
}
