import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorPage } from '../../scripts/error-page.ts';
import { EXIT_CODES, exitCodeOf, exitCodesOf } from '../../src/cli/exit-code.ts';
import { ERROR_CODES, type ErrorCode } from '../../src/core/error-codes.ts';
import { kindError } from '../../src/core/errors.ts';
import { cli } from '../support/cli.ts';

const ROOT = join(import.meta.dirname, '../..');
const CODES = Object.keys(ERROR_CODES) as ErrorCode[];
const PAGE = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');

const SOURCES = ['src', 'vm', 'images', 'scripts'].flatMap((top) =>
  readdirSync(join(ROOT, top), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .filter((name) => name !== 'core/error-codes.ts')
    .map((name) => readFileSync(join(ROOT, top, name), 'utf8')),
);

test('every listed code is used', () => {
  const used = new Set(SOURCES.flatMap((text) => text.match(/(?<=')[A-Z][A-Z0-9_]+(?=')/g) ?? []));
  expect(CODES.filter((code) => !used.has(code))).toEqual([]);
});

test('every used code is listed, even where a cast hides it from the compiler', () => {
  const used = SOURCES.flatMap((text) =>
    [...text.matchAll(/\bcode: '([A-Z][A-Z0-9_]+)'/g)].map(([, code = '']) => code),
  );
  expect(used.length).toBeGreaterThan(200);
  // ZSTD_* are zlib's own, caught where they are thrown.
  const foreign = /^ZSTD_/;
  expect(used.filter((code) => !foreign.test(code) && !Object.hasOwn(ERROR_CODES, code))).toEqual(
    [],
  );
});

test('docs/errors.md is up to date: run `npm run docs:errors` after a change', () => {
  expect(PAGE).toBe(errorPage());
});

test('codes are in alphabetical order, with a sentence each', () => {
  const own = CODES.filter((code) => !code.startsWith('FIXTURE_'));
  expect(own).toEqual(own.toSorted());
  for (const code of CODES) expect(ERROR_CODES[code].meaning, code).toMatch(/^[A-Z`].*\.$/);
});

test.each(CODES)('%s ends with an exit code that the page names', (code) => {
  const { kinds } = ERROR_CODES[code];
  const ends = kinds.map((kind) => exitCodeOf(kindError(kind, '', { code })));
  for (const end of ends) expect(exitCodesOf(code)).toContain(end);
  expect(PAGE).toContain(`| \`${code}\` | ${exitCodesOf(code).join(', ')} | `);
});

test.each(['SIGHUP', 'SIGINT', 'SIGTERM'] as const)('the exit code of %s', (signal) => {
  const stopped = kindError('cancelled', '', { code: 'CANCELLED', context: { signal } });
  const known = EXIT_CODES.find((exit) => 'signal' in exit && exit.signal === signal);
  expect(exitCodeOf(stopped)).toBe(known?.code);
});

test('--help and the page list the same exit codes, including 141 for a closed pipe', async () => {
  const help = (await cli(['--help'])).stdout.toString();
  const helped = [...help.matchAll(/^ {2}(\d+) +(.*)$/gm)].map(([, code, text]) => [code, text]);
  const paged = [...PAGE.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(([, code, text]) => [code, text]);
  expect(helped).toEqual(paged);
  expect(helped).toEqual(EXIT_CODES.map(({ code, meaning }) => [String(code), meaning]));
  expect(helped.map(([code]) => code)).toEqual('0 1 2 3 4 5 6 7 8 129 130 141 143'.split(' '));
  expect(exitCodeOf(kindError('cancelled', '', { code: 'PIPE_CLOSED' }))).toBe(141);
});
