import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorPage } from './error-page.ts';

/** Writes the page of all errors: `npm run docs:errors`. */
writeFileSync(join(import.meta.dirname, '../docs/errors.md'), errorPage());
