import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { spawn } from '@lydell/node-pty';
import xterm from '@xterm/headless';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../../test/support/synthetic-bundle.ts';
import { SHELLS, type Shell } from './scripts.ts';

/** The real shells, each on a terminal of its own, with somebody who presses the tab key. */

const BIN = join(import.meta.dirname, '../bin.ts');
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (...names: string[]) => join(folder.path, ...names);
beforeAll(async () => {
  folder = await temporaryFolder();
  await writeSyntheticBundle(at());
  await mkdir(at('bin'));
  await mkdir(at('odd folder'));
  await writeFile(at('one.json'), '{}');
  const program = `#!/bin/sh\nNODE_NO_WARNINGS=1 exec '${process.execPath}' '${BIN}' "$@"\n`;
  await writeFile(at('bin/iso-rehydrate'), program);
  await chmod(at('bin/iso-rehydrate'), 0o755);
}, 180_000);
afterAll(() => folder[Symbol.asyncDispose]());

/** How each is started without the user's files, and reads its script. */
const START: Readonly<Record<Shell, { readonly args: string[]; readonly setUp: string }>> = {
  bash: {
    args: ['--norc', '--noprofile', '-i'],
    setUp: "bind 'set show-all-if-ambiguous on'; source ./bash",
  },
  zsh: {
    args: ['-f', '-i'],
    setUp: 'autoload -U compinit; compinit -u -D; source ./zsh',
  },
  fish: { args: ['--no-config', '-i'], setUp: 'source ./fish' },
};

/** Types into a shell, and waits for what it shows. */
function shell(name: Shell) {
  const { args, setUp } = START[name];
  const screen = new xterm.Terminal({ cols: 160, rows: 50, allowProposedApi: true });
  const pty = spawn(name, args, {
    cols: 160,
    rows: 50,
    cwd: folder.path,
    env: {
      ...{ PATH: `${at('bin')}:${process.env.PATH}`, HOME: at(), TERM: 'xterm', LANG: 'C.UTF-8' },
      ISO_REHYDRATE_BUNDLE: at('bundle'),
    },
  });
  pty.onData((text) => screen.write(text));
  // Some shells ask the terminal what it is, and wait for its answer.
  screen.onData((text) => pty.write(text));
  const shown = () =>
    Array.from({ length: 50 }, (_, row) =>
      screen.buffer.active.getLine(screen.buffer.active.baseY + row)?.translateToString(true),
    ).join('\n');
  const until = async (wanted: RegExp) => {
    for (let i = 0; i < 900; i++) {
      if (wanted.test(shown())) return;
      await sleep(100);
    }
    throw new Error(`${name} does not show ${wanted}:\n${shown()}`);
  };
  return {
    async start() {
      // The quotes keep what is typed from looking like what is printed.
      pty.write(`${setUp}; echo re''ady\r`);
      await until(/ready\s/);
    },
    /** Types the line and a tab; resolves once `wanted` is shown. */
    async tab(line: string, wanted: RegExp) {
      pty.write(`${line}\t`);
      await until(wanted);
      pty.write('\x15'); // clears the line
      await sleep(100);
    },
    [Symbol.dispose]: () => pty.kill('SIGKILL'),
  };
}

describe.each(SHELLS)('%s', (name) => {
  test('completes commands, options, platforms of the bundle, and files', async () => {
    using open = shell(name);
    const { stdout } = await cli(['completion', name]);
    await writeFile(at(name), stdout);
    await open.start();
    await open.tab('iso-rehydrate deh', /iso-rehydrate dehydrate/);
    await open.tab('iso-rehydrate dehydrate --artif', /--artifacts/);
    await open.tab('iso-rehydrate audit --engine na', /--engine native/);
    await open.tab('iso-rehydrate --platform me', /--platform metal/);
    await open.tab('iso-rehydrate dehydrate --keyring on', /--keyring one\.json/);
    await open.tab(
      'iso-rehydrate dehydrate --artifacts od',
      /--artifacts (odd\\ folder|'odd folder)/,
    );
  });
});
