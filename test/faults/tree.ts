import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, relative } from 'node:path';

/** The files below a folder with the SHA-256 of each; folders count only if they are empty. */
export function treeOf(folder: string): Map<string, string> {
  const tree = new Map<string, string>();
  const visit = (path: string) => {
    const entries = readdirSync(path, { withFileTypes: true });
    if (entries.length === 0 && path !== folder) tree.set(`${relative(folder, path)}/`, '');
    for (const entry of entries) {
      const at = join(path, entry.name);
      if (entry.isDirectory()) visit(at);
      else tree.set(relative(folder, at), entry.isFile() ? hash(at) : readlinkSync(at));
    }
  };
  visit(folder);
  return new Map([...tree].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const hash = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Files of one tree that another lacks, or has with other contents. */
export function strangers(
  found: ReadonlyMap<string, string>,
  expected: ReadonlyMap<string, string>,
): string[] {
  return [...found]
    .filter(([name, sha256]) => expected.get(name) !== sha256)
    .map(([name]) => (expected.has(name) ? `${name} (other bytes)` : name));
}
