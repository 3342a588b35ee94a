import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { execa } from 'execa';
import { describe, expect, test } from 'vitest';
import { accepts } from '../../support/accepts.ts';
import {
  blocksOf,
  commandsOf,
  commandsOfPage,
  ELSEWHERE,
  elsewhere,
  ownCommands,
  PAGES,
  readPage,
} from '../../support/pages.ts';

/** GitHub's name for a heading. */
const slug = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const anchorsOf = (page: string) =>
  [...readPage(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => slug(heading));

/** A page's links into the repository: the file, and the heading in it. */
function linksOf(page: string): { file: string; anchor: string | undefined }[] {
  const text = readPage(page).replace(/^```[\s\S]*?^```$/gm, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^https?:/.test(target))
    .map((target) => {
      const [path = '', anchor] = target.split('#');
      return { file: path === '' ? page : normalize(join(dirname(page), path)), anchor };
    });
}

test('the README is short, and leads to every page', () => {
  expect(statSync('README.md').size).toBeLessThanOrEqual(10 * 1024);
  const linked = linksOf('README.md').map(({ file }) => file);
  for (const page of PAGES.filter((one) => one !== 'README.md')) expect(linked).toContain(page);
});

describe.each(PAGES)('%s', (page) => {
  test('its links lead somewhere', () => {
    for (const { file, anchor } of linksOf(page)) {
      expect(existsSync(file), file).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(file), `${file}#${anchor}`).toContain(anchor);
    }
  });

  test('its shell is valid, and so are our command lines in it', async () => {
    for (const block of blocksOf(readPage(page), 'sh')) {
      await execa('bash', ['-n'], { input: block });
      for (const words of ownCommands(block)) {
        expect(await accepts(words), words.join(' ')).toBeUndefined();
      }
    }
  });

  test('no block hides from the tests', () => {
    // Of the info strings that mark commands, the tests recognize only `sh`.
    expect(readPage(page)).not.toMatch(/^```(bash|shell|console|shell-session|zsh)\b/m);
    expect(readPage(page)).not.toMatch(/^(~~~| {4}\$ )/m);
    for (const block of blocksOf(readPage(page), '')) {
      expect(block).not.toMatch(/^(\$ |iso-rehydrate |npm |npx |podman |scripts\/\w+\.sh)/m);
    }
  });
});

describe('command lines that test/e2e/pages.test.ts does not run', () => {
  test.each(ELSEWHERE)('$page $command exists, and so does $by', ({ page, command, by }) => {
    expect(commandsOfPage(page).filter((line) => command.test(line))).not.toEqual([]);
    expect(existsSync(by)).toBe(true);
  });

  test('a command line that is new on a page is not among them', () => {
    for (const page of PAGES) {
      expect(elsewhere(page, 'iso-rehydrate --platform new')?.page ?? 'none').toMatch(
        /^(none|docs\/first-release\.md)$/,
      );
    }
  });
});

test('command lines are found whole', () => {
  const block = [
    '# what for',
    'a --b \\',
    '  --c   # why',
    '',
    "cat >x <<'EOF'",
    '{',
    '# no comment',
    '}',
    'EOF',
    'd | e',
    '',
  ];
  expect(commandsOf(block.join('\n'))).toEqual([
    'a --b \\\n  --c   # why',
    "cat >x <<'EOF'\n{\n# no comment\n}\nEOF",
    'd | e',
  ]);
});

test('nothing that seeks reads from a pipe', () => {
  // qemu-img cannot: it reads only the beginning of a pipe, or nothing.
  const help = readFileSync('src/cli/program.ts', 'utf8');
  for (const text of [...PAGES.map(readPage), help]) {
    expect(text).not.toMatch(/\|\s*(qemu-img|unzip|guestfish|virt-\w+|losetup|mount)\b/);
  }
});

test('the options of benchmarks on the pages exist', async () => {
  const lines = commandsOfPage('docs/measurements.md');
  const benches = lines.filter((line) => line.startsWith('npm run bench'));
  expect(benches.length).toBeGreaterThan(4);
  // Options are parsed first; then the missing fixture is an error.
  const run = async (line: string) => {
    const words = line.split(/\s+/).slice(4);
    const script = ['scripts/bench/main.ts', ...words, '--fixture', '/dev/null/none'];
    return execa(process.execPath, script, { reject: false });
  };
  for (const line of benches) {
    const { stderr, exitCode } = await run(line);
    expect(exitCode).not.toBe(0);
    expect(stderr, line).toContain('/dev/null/none');
    expect(stderr, line).not.toContain('ERR_PARSE_ARGS');
  }
  expect((await run('npm run bench -- --wrong')).stderr).toContain('ERR_PARSE_ARGS');
});

test('pages and example jobs are in the package, and the links between them work there', async () => {
  const { stdout } = await execa('npm', ['pack', '--dry-run', '--json', '--ignore-scripts']);
  const report = JSON.parse(stdout);
  const [{ files }] = Array.isArray(report) ? report : Object.values(report);
  const packed = new Set((files as { path: string }[]).map(({ path }) => path));
  for (const page of PAGES) {
    expect(packed).toContain(page);
    for (const { file } of linksOf(page)) expect(packed, `${page} links to it`).toContain(file);
  }
  expect([...packed].filter((path) => /\.test\.|^test\//.test(path))).toEqual([]);
});
