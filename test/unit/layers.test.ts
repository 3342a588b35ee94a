import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** The rooms of the source tree, the lowest first: a room imports only from itself and from rooms before it. */
const LAYERS = [
  'images',
  'vm',
  'src/core',
  'src/formats',
  'src/codec',
  'src/release',
  'src/registry',
  'src/bundle',
  'src/engine',
  'src/verbs',
  'src/cli',
  'src/index.ts',
  'src/entry',
] as const;

/** Rooms that may import less than their place allows, with the rooms that they may import. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  images: [],
  vm: ['images'],
  // An OCI distribution client, independent of bundles, releases and codecs.
  'src/registry': ['src/core', 'src/formats'],
  // The fixture builder is a separate product.
  'scripts/fixture': ['src/core'],
};

interface Import {
  readonly path: string;
  /** Erased at run time. */
  readonly typeOnly: boolean;
}

const IMPORT =
  /^(?:import|export)\b(?<clause>[^'";]*?)\bfrom '(?<from>[^']+)'|^import '(?<bare>[^']+)'|\b(?:import|require)\(\s*'(?<dynamic>[^']+)'/gm;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [...text.matchAll(IMPORT)].map(({ groups = {} }) => {
    const { clause = '', from, bare, dynamic } = groups;
    const target = from ?? bare ?? dynamic ?? '';
    const names = clause.match(/\{([^}]*)\}/)?.[1]?.split(',') ?? [];
    const typeOnly =
      clause.trim().startsWith('type ') ||
      (names.length > 0 &&
        !/^[^{]*\w/.test(clause.trim()) &&
        names.filter((name) => name.trim()).every((name) => name.trim().startsWith('type ')));
    const path = target.startsWith('.') ? normalize(join(dirname(file), target)) : target;
    return { path, typeOnly };
  });
}

const FILES = ['images', 'vm', 'src', 'scripts']
  .flatMap((top) =>
    readdirSync(join(ROOT, top), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(top, name),
    ),
  )
  .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
  .sort();
const IMPORTS = new Map(FILES.map((file) => [file, importsOf(file)]));

const within = (room: string, file: string) => file === room || file.startsWith(`${room}/`);
const roomOf = (file: string) =>
  LAYERS.find((layer) => within(layer, file)) ??
  Object.keys(ONLY).find((room) => within(room, file));

/** Import cycles, each as a list of names; Tarjan's strongly connected components. */
function circles(graph: ReadonlyMap<string, Iterable<string>>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string) => {
    index.set(node, index.size);
    low.set(node, index.get(node) ?? 0);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) {
        low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0));
      }
    }
    if (low.get(node) !== index.get(node)) return;
    const circle = stack.splice(stack.indexOf(node));
    if (circle.length > 1) found.push(circle);
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}

describe('the layers', () => {
  test('every source file is in a room', () => {
    const top = FILES.filter((file) => within('src', file));
    expect(top.filter((file) => roomOf(file) === undefined)).toEqual([]);
  });

  test('src has at most 12 entries, so that it is seen at one look', () => {
    expect(readdirSync(join(ROOT, 'src')).length).toBeLessThanOrEqual(12);
  });

  test('imports point downward only', () => {
    const wrong = FILES.flatMap((file) => {
      const room = roomOf(file);
      if (room === undefined) return [];
      const place = (LAYERS as readonly string[]).indexOf(room);
      return (IMPORTS.get(file) ?? [])
        .map(({ path }) => path)
        .filter((path) => {
          const other = roomOf(path);
          if (other === undefined || other === room) return false;
          const only = ONLY[room];
          if (only) return !only.includes(other);
          return (LAYERS as readonly string[]).indexOf(other) > place;
        })
        .map((path) => `${file} imports ${path}`);
    });
    expect(wrong).toEqual([]);
  });

  test('no file is in an import cycle', () => {
    const graph = new Map(
      [...IMPORTS].map(([file, imports]) => [file, imports.map(({ path }) => path)]),
    );
    expect(circles(graph)).toEqual([]);
  });

  test('no folder is in an import cycle', () => {
    const folders = new Map<string, Set<string>>();
    // The rooms, and the folders in each: verbs, formats, codecs, engines.
    for (const depth of [2, 3]) {
      const folderOf = (file: string) => dirname(file).split('/').slice(0, depth).join('/');
      folders.clear();
      for (const [file, imports] of IMPORTS) {
        if (dirname(file).split('/').length < depth || !within('src', file)) continue;
        const own = folders.get(folderOf(file)) ?? new Set();
        folders.set(folderOf(file), own);
        for (const { path } of imports) {
          if (dirname(path).split('/').length >= depth && folderOf(path) !== folderOf(file)) {
            own.add(folderOf(path));
          }
        }
      }
      expect(circles(folders)).toEqual([]);
    }
  });

  test('src has at most thirteen entries', () => {
    expect(readdirSync(join(ROOT, 'src')).length).toBeLessThanOrEqual(13);
  });
});

/** Loading one in a worker, and unloading it when the worker ends, has crashed the process. */
const ADDONS = ['koffi', '@lydell/node-pty'];

describe('worker threads', () => {
  const entries = FILES.filter(
    (file) => within('src', file) && /\bparentPort\b/.test(readFileSync(join(ROOT, file), 'utf8')),
  );

  test('there are five kinds', () => {
    expect(entries).toHaveLength(5);
  });

  test.each(entries)('%s loads no native addon', (entry) => {
    const reached = new Map<string, string>([[entry, entry]]);
    const chains: string[] = [];
    for (const [file, chain] of reached) {
      for (const { path, typeOnly } of IMPORTS.get(file) ?? []) {
        if (typeOnly || reached.has(path)) continue;
        if (ADDONS.includes(path)) chains.push(`${chain} -> ${path}`);
        if (IMPORTS.has(path)) reached.set(path, `${chain} -> ${path}`);
      }
    }
    expect(chains).toEqual([]);
  });
});
