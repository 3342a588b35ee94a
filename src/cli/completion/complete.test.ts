import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../../test/support/synthetic-bundle.ts';
import { createProgram } from '../program.ts';
import { completed, wordsOf } from './words.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = (await writeSyntheticBundle(folder.path)).path;
}, 180_000);
afterAll(() => folder[Symbol.asyncDispose]());

/** The kind of the answer, and its words. */
async function completions(words: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await cli(['complete', '--', ...words], { env });
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const [kind, ...lines] = stdout.toString().trimEnd().split('\n');
  return { kind, words: lines.map((line) => line.split('\t')[0]), lines };
}

test('commands, but not the hidden one', async () => {
  const { kind, words, lines } = await completions(['']);
  expect(kind).toBe('words');
  expect(words).toContain('dehydrate');
  expect(words).toContain('completion');
  expect(words).not.toContain('complete');
  expect(lines).toContainEqual(expect.stringMatching(/^merge\tmerge bundles/));
  expect((await completions(['de'])).words).toEqual(['dehydrate']);
});

test('options of the command, or of the default one', async () => {
  expect((await completions(['dehydrate', '--rel'])).words).toEqual(['--released']);
  expect((await completions(['--plat'])).words).toEqual(['--platform']);
  expect((await completions(['--vers'])).words).toEqual(['--version']);
  expect((await completions(['audit', '--vers'])).words).toEqual([]);
  expect((await completions(['plan', '--', '--'])).words).toEqual([]);
});

test('values: words, lists, files, folders', async () => {
  const engines = ['qemu', 'native', 'both', 'auto'];
  expect(await completions(['--engine', ''])).toMatchObject({ kind: 'words', words: engines });
  expect((await completions(['--engine=n'])).words).toEqual(['--engine=native']);
  // As bash cuts it.
  expect((await completions(['--engine', '=', 'n'])).words).toEqual(['native']);
  expect((await completions(['--engine', '='])).words).toEqual(engines);
  const released = await completions(['dehydrate', '--released', 'gz,']);
  expect(released).toMatchObject({ kind: 'list', words: ['gz,zip', 'gz,xz', 'gz,all', 'gz,none'] });
  expect((await completions(['dehydrate', '--keyring', 'fed'])).kind).toBe('files');
  expect((await completions(['dehydrate', '--artifacts', ''])).kind).toBe('folders');
  expect((await completions(['audit', '--merge', 'part-1', ''])).kind).toBe('folders');
  expect((await completions(['inspect', ''])).kind).toBe('files');
  expect(await completions(['--jobs', ''])).toMatchObject({ kind: 'words', words: [] });
  expect((await completions(['completion', ''])).words).toEqual(['bash', 'zsh', 'fish']);
});

test('platforms, formats and architectures of the bundle', async () => {
  const { stdout } = await cli(['inspect', bundle, '--json']);
  const [{ architecture, artifacts }] = JSON.parse(stdout.toString()).bundle.architectures;
  const platforms = [...new Set(artifacts.map((one: { platform: string }) => one.platform))].sort();
  expect((await completions(['-b', bundle, '-p', ''])).words).toEqual([...platforms, 'all']);
  const env = { ISO_REHYDRATE_BUNDLE: bundle };
  expect((await completions(['audit', '-p', ''], env)).words).toEqual([...platforms, 'all']);
  expect((await completions(['-a', ''], env)).words).toEqual([architecture, 'all']);
  const [first = ''] = platforms.map(String);
  const rest = platforms.slice(1).map((name) => `${first},${name}`);
  expect((await completions(['-p', `${first},`], env)).words).toEqual([...rest, `${first},all`]);
  expect((await completions(['-a', 'riscv', '-p', ''], env)).words).toEqual([...platforms, 'all']);
  const formats = (await completions(['-p', 'metal', '-f', ''], env)).words;
  expect(formats).toContain('raw');
  expect(formats).not.toContain('qcow2');
});

test('without a bundle that can be read, what CoreOS releases', async () => {
  const { words } = await completions(['-b', folder.path, '-p', 'nu']);
  expect(words).toEqual(['nutanix']);
  expect((await completions(['-a', 's'])).words).toEqual(['s390x']);
});

test('every option that takes one of a few words carries them', () => {
  const program = createProgram({ env: {} } as never, { json: false });
  const lists = program.commands.flatMap((command) =>
    command.options.flatMap((option) =>
      /^(platforms?|formats?|arch|engine|accel|base|verify|released)$/.test(option.name()) &&
      option.required
        ? [[command.name(), option.long, wordsOf(option.parseArg) !== undefined]]
        : [],
    ),
  );
  expect(lists.length).toBeGreaterThan(20);
  expect(lists.filter(([, , known]) => !known)).toEqual([]);
});

test('a parser with words parses as it did', () => {
  const parse = completed(
    (text: string, previous: readonly string[] = []) => [...previous, text],
    ['a'],
  );
  expect(parse('b', ['a'])).toEqual(['a', 'b']);
  expect(wordsOf(parse)?.words).toEqual(['a']);
  expect(wordsOf((text: string) => text)).toBeUndefined();
});
