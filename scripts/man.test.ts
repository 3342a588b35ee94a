import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { manPages } from './man-pages.ts';

const PAGES = [...manPages()];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iso-rehydrate-test-'));
  for (const [name, page] of PAGES) await writeFile(join(folder, name), page);
}, 180_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the package lists every page', () => {
  const { man } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'));
  expect(man).toEqual(PAGES.map(([name]) => `dist/man/${name}`));
});

test('mandoc finds no fault in them but that they have no date', async () => {
  const { stdout } = await execa(
    'mandoc',
    ['-T', 'lint', '-W', 'warning', ...PAGES.map(([name]) => name)],
    { cwd: folder, reject: false },
  );
  const faults = stdout.split('\n').filter((line) => line !== '' && !line.includes('missing date'));
  expect(faults).toEqual([]);
});

test('a page says what the help says', async () => {
  const shown = await execa('mandoc', ['-T', 'utf8', join(folder, 'iso-rehydrate-dehydrate.1')], {
    env: { LC_ALL: 'C.UTF-8' },
  });
  // Bold is a letter that is typed twice.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: backspace
  const text = shown.stdout.replaceAll(/.\x08/g, '').replaceAll(/\s+/g, ' ');
  expect(text).toContain(
    '--released <kinds> released files to make too: gz, zip, xz, `all` or `none`',
  );
  expect(text).toContain(
    'EXAMPLES iso-rehydrate dehydrate --stream stream.json --artifacts release/ -o bundle',
  );
  expect(text).toContain('The same inputs give the same bytes.');
  const root = PAGES.find(([name]) => name === 'iso-rehydrate.1')?.[1];
  expect(root).toContain('.SH EXIT CODES');
  expect(root).not.toContain('complete\n');
});
