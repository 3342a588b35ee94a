import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The package's version. Its package.json is above this file, both in the source tree and in dist. */
export function version(): string {
  for (let dir = import.meta.dirname; ; dir = dirname(dir)) {
    try {
      const text = readFileSync(join(dir, 'package.json'), 'utf8');
      const { name, version: found } = JSON.parse(text) as { name?: unknown; version?: unknown };
      if (name === 'iso-rehydrate' && typeof found === 'string') return found;
    } catch {
      // Not here: one folder up.
    }
    if (dir === dirname(dir)) return 'unknown';
  }
}
