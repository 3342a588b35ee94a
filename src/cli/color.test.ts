import { expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { paintFor } from './color.ts';

const isColoured = (argv: readonly string[], env: Record<string, string>, isTerminal: boolean) =>
  paintFor(argv, { env, isTerminal })('error', 'x') !== 'x';

test.each([
  [[], {}, true, true],
  [[], {}, false, false],
  [[], { NO_COLOR: '1' }, true, false],
  [[], { NO_COLOR: '' }, true, true],
  [[], { FORCE_COLOR: '1' }, false, true],
  [[], { FORCE_COLOR: '0' }, false, false],
  [[], { NO_COLOR: '1', FORCE_COLOR: '1' }, false, false],
  [['--color', 'always'], { NO_COLOR: '1' }, false, true],
  [['--color=always'], {}, false, true],
  [['--color=never'], { FORCE_COLOR: '1' }, true, false],
  [['--color', 'auto'], {}, true, true],
  [['--', '--color=always'], {}, false, false],
] as const)('%j with %j, on a terminal: %s', (argv, env, isTerminal, expected) => {
  expect(isColoured(argv, { ...env }, isTerminal)).toBe(expected);
});

const FAILING = ['inspect', '/nowhere/bundle'];

test('errors have colours on a terminal, and only their labels', async () => {
  const { stderr } = await cli(FAILING, { isTerminal: true });
  expect(stderr).toContain('\x1b[1;31merror:\x1b[0m ');
  expect(stderr).toContain('\x1b[36mfix:\x1b[0m ');
  const bare = await cli(FAILING);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ECMA-48
  expect(stderr.replaceAll(/\x1b\[[\d;]*m/g, '')).toBe(bare.stderr);
  expect((await cli([...FAILING, '--color', 'never'], { isTerminal: true })).stderr).toBe(
    bare.stderr,
  );
});

test('JSON has none, and a name brings none of its own', async () => {
  const json = await cli([...FAILING, '--json', '--color', 'always']);
  expect(json.stderr).not.toContain('\x1b');
  const hostile = await cli(['inspect', '/\x1b[32mgreen', '--color', 'always']);
  expect(hostile.stderr).not.toContain('\x1b[32m');
});

test('another word is refused', async () => {
  const { code, stderr } = await cli([...FAILING, '--color', 'allways']);
  expect(code).toBe(2);
  expect(stderr).toContain('Did you mean always?');
});

test('it has an effect wherever there are errors', async () => {
  const merge = ['audit', '--merge', '/nowhere', '--report', '/nowhere/report'];
  const { stderr } = await cli([...merge, '--color', 'always']);
  expect(stderr).not.toContain('OPTION_UNUSED');
});
