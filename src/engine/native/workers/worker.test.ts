import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** All files that a module loads of this project, and the packages. Types do not count. */
function loadedBy(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  if (!existsSync(file)) return seen;
  const imports = readFileSync(file, 'utf8').matchAll(
    /^(?:import|\} from|export .* from)\s(.*);$/gm,
  );
  for (const [line] of imports) {
    if (line.startsWith('import type')) continue;
    const name = /'([^']+)'/.exec(line)?.[1] ?? '';
    if (name.startsWith('.')) loadedBy(resolve(dirname(file), name), seen);
    else seen.add(name);
  }
  return seen;
}

test('the threads load no native code: terminating one while it runs would crash the process', () => {
  const entry = fileURLToPath(new URL('./worker.ts', import.meta.url));
  const loaded = [...loadedBy(entry)];
  expect(loaded).toContain(resolve(dirname(entry), '../../../formats/xz/lzma.ts'));
  expect(loaded.filter((name) => !name.startsWith('/') && !name.startsWith('node:'))).toEqual([]);
});
