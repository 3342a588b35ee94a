import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

/**
 * Code that reads an HTTP response without a limit, or with a client that decodes bodies and ends the process when a
 * server hangs up. Only src/core/http may read responses, because it limits size and time.
 */
const BARE =
  /\.(?:text|json|arrayBuffer|blob|formData)\(\)|(?<![\w.])fetch\(|\bglobalThis\.fetch\b|'node:stream\/consumers'/g;
/** Imports of HTTP clients, which only src/core/http may use. */
const CLIENT = /^(?:import (?!type )|export )[^;]*\bfrom '(?:node:)?(?:https?|http2|undici)'/m;
const HOME = 'src/core/http/';
/** It imports node:http to listen. */
const SERVERS = ['src/verbs/serve/serve.ts'];

const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, '');
const bareIn = (text: string) => withoutComments(text).match(BARE) ?? [];

describe('HTTP responses', () => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join('src', name));
  const textOf = (file: string) => readFileSync(join(ROOT, file), 'utf8');

  test('are never read without a limit', () => {
    expect(files.flatMap((file) => bareIn(textOf(file)).map((what) => `${file}: ${what}`))).toEqual(
      [],
    );
  });

  test('are requested only by src/core/http', () => {
    const others = files.filter(
      (file) => !file.startsWith(HOME) && CLIENT.test(textOf(file)) && !SERVERS.includes(file),
    );
    expect(others).toEqual([]);
  });

  test.each([
    ['await response.text()', 1],
    ['(await fetch(url)).arrayBuffer()', 2],
    ['// as fetch() does', 0],
    ['registry.fetch(url)', 0],
    ['prefetch(url); fetchFile(url)', 0],
    ["const text = 'https://x'; fetch(text)", 1],
  ])('%s', (text, count) => {
    expect(bareIn(text)).toHaveLength(count);
  });
});
