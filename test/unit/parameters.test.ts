import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/** A parameter of its own (not a property of an object) that is a boolean: `name: boolean` or `name = false`. */
function bareBooleans(text: string): string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
  const lists = code.matchAll(
    /(?:function\*? \w+(?:<[^(]*>)?|=|constructor|^ {2}\w+)\s?\((?<list>[^()]*)\)/gm,
  );
  return [...lists].flatMap(({ groups = {} }) => {
    // Objects, and what is destructured from them, name their booleans.
    let list = groups.list ?? '';
    while (/\{[^{}]*\}/.test(list)) list = list.replaceAll(/\{[^{}]*\}/g, 'object');
    return [...list.matchAll(/\w+\??(?:: boolean| = (?:true|false))\b/g)].map(([found]) => found);
  });
}

test('finds a boolean parameter that its caller cannot name', () => {
  expect(bareBooleans('function f(a: string, deep: boolean): void {}')).toEqual(['deep: boolean']);
  expect(bareBooleans('const f = (a: string, deep = false) => a;')).toEqual(['deep = false']);
  expect(bareBooleans('function f({ deep = false }: { readonly deep?: boolean } = {}) {}')).toEqual(
    [],
  );
});

test('no function takes a boolean that its callers do not name', () => {
  const found: string[] = [];
  for (const room of ['src', 'vm', 'images', 'scripts']) {
    for (const name of readdirSync(join(ROOT, room), { recursive: true }).map(String)) {
      if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
      const path = join(ROOT, room, name);
      for (const one of bareBooleans(readFileSync(path, 'utf8')))
        found.push(`${room}/${name}: ${one}`);
    }
  }
  expect(found).toEqual([]);
});
