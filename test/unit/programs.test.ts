import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** The arguments of each call of execa in a source: up to the parenthesis that closes it. */
function callsOf(source: string): string[] {
  return [...source.matchAll(/\b(?:plainExeca|execa)\(/g)].map(({ index }) => {
    let depth = 0;
    for (let at = source.indexOf('(', index); at < source.length; at++) {
      if (source[at] === '(') depth++;
      else if (source[at] === ')' && --depth === 0) return source.slice(index, at + 1);
    }
    return source.slice(index);
  });
}

test('no more of what a program prints is kept in memory than its caller has said', () => {
  // execa keeps 100 MB, and then fails with all of it in the error.
  const sources = globSync(['src/**/*.ts', 'vm/**/*.ts', 'scripts/fixture/**/*.ts'])
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => [file, readFileSync(file, 'utf8')] as const)
    .filter(([, text]) => text.includes("from 'execa'"));
  expect(sources.length).toBeGreaterThan(5);
  for (const [file, text] of sources) {
    const calls = callsOf(text);
    expect(calls, file).not.toEqual([]);
    for (const call of calls) expect(call, file).toContain('maxBuffer: ');
  }
});
