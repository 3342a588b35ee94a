import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { manPages } from './man-pages.ts';

/** Writes the manual pages: `node scripts/man.ts FOLDER`. The build does. */
const [folder = 'dist/man'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
for (const [name, page] of manPages()) writeFileSync(join(folder, name), page);
