import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { cli } from '../../test/support/cli.ts';

const read = (name: string) => readFileSync(join(import.meta.dirname, name), 'utf8');

/** Every string in the YAML documents that a shell runs: `run`, `script`, `args`. */
function scriptsOf(name: string): string[] {
  const found: string[] = [];
  const walk = (value: unknown, key: string): void => {
    if (typeof value === 'string' && /^(run|script|args)$/.test(key)) found.push(value);
    else if (Array.isArray(value)) for (const one of value) walk(one, key);
    else if (typeof value === 'object' && value !== null) {
      for (const [name_, one] of Object.entries(value)) walk(one, name_);
    }
  };
  for (const document of parseAllDocuments(read(name))) {
    expect(document.errors, name).toEqual([]);
    expect(document.warnings, name).toEqual([]);
    walk(document.toJS(), '');
  }
  return found;
}

const YAML = readdirSync(import.meta.dirname).filter((name) => /\.ya?ml$/.test(name));

/** Command lines of ours in a text, without what a shell would do with them. */
function commandsIn(text: string): string[][] {
  const joined = text
    .replace(/\\\n\s*/g, ' ')
    .replace(/"\$\(\([^)]*\)\)\/\$SHARDS"|"\$SHARD"/g, '1/4')
    .replace(/"\$SHARDS"/g, '4')
    .replace(/"\$\(params\.arch\)"/g, 'all')
    .replace(/"\$\(params\.engine\)"|"\$ENGINE"/g, 'native')
    .replace(/\$\(([\w.]+)\)/g, '$1');
  const lines = joined.match(/iso-rehydrate [^\n|)&;>]*/g) ?? [];
  return lines.map((line) => {
    const words = line.replace(/ (?:#| {2}).*$/, '').match(/"[^"]*"|\S+/g) ?? [];
    return words.slice(1).map((word) => word.replaceAll('"', ''));
  });
}

/** Whether the command line's grammar takes it: what it then lacks is a bundle, not an option. */
async function accepts(words: string[]): Promise<string | undefined> {
  const { code, stderr } = await cli(words, {
    signal: AbortSignal.abort(),
    // Below it nothing can be made.
    env: { HOME: '/dev/null', ISO_REHYDRATE_BUNDLE: '/dev/null/none' },
  });
  return code === 2 && /option|argument|command/.test(stderr) ? stderr : undefined;
}

test.each(YAML)(
  '%s: is YAML, its scripts are shell, and its command lines are ours',
  async (name) => {
    const scripts = scriptsOf(name);
    expect(scripts.length).toBeGreaterThan(0);
    for (const script of scripts) await execa('bash', ['-n'], { input: script });
    const commands = scripts.flatMap(commandsIn);
    expect(commands.length).toBeGreaterThan(1);
    for (const words of commands) expect(await accepts(words), words.join(' ')).toBeUndefined();
  },
);

test('a wrong option would be found', async () => {
  expect(await accepts(['audit', '--bundel', 'x', '--report', 'y'])).toContain('unknown option');
  expect(commandsIn('x=$(iso-rehydrate plan --shards "$SHARDS" \\\n  --json)')).toEqual([
    ['plan', '--shards', '4', '--json'],
  ]);
});

test('the pages: every example of a command line is one that we take', async () => {
  const pages = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.md'));
  expect(pages.sort()).toEqual(['auditor.md', 'mirror-admin.md', 'release-job.md']);
  for (const page of pages) {
    const blocks = [...read(page).matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = '']) => text);
    const commands = blocks.flatMap(commandsIn);
    expect(commands.length, page).toBeGreaterThan(2);
    for (const words of commands) {
      expect(await accepts(words), `${page}: ${words.join(' ')}`).toBeUndefined();
    }
  }
});

test('the Containerfile: instructions and shell', async () => {
  const lines = read('Containerfile')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n');
  const known = /^(FROM|RUN|COPY|ARG|ENV|VOLUME|USER|ENTRYPOINT|CMD) \S/;
  for (const line of lines.filter((text) => text.trim() !== '')) expect(line).toMatch(known);
  for (const line of lines.filter((text) => text.startsWith('RUN '))) {
    await execa('sh', ['-n'], { input: line.slice(4) });
  }
});
