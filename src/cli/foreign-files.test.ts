import { cp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const at = (...names: string[]) => join(folder.path, ...names);
beforeAll(async () => {
  folder = await temporaryFolder();
  await execa('mkfifo', [at('pipe')]);
  await symlink('/dev/zero', at('zeros'));
  await symlink('/dev/tty', at('terminal'));
  await writeSyntheticBundle(folder.path, { embedded: false });
});
afterAll(() => folder[Symbol.asyncDispose]());

const FOREIGN = ['pipe', 'zeros', 'terminal'];

/** Command lines in which `FILE` is a file that somebody else may have made. */
const OPTIONS: readonly (readonly string[])[] = [
  ['dehydrate', '--stream', 'FILE', '--artifacts', '.', '-o', 'out'],
  ['estimate', '--stream', 'FILE'],
  ['push', 'localhost:1/a:b', '--authfile', 'FILE'],
  ['pull', 'localhost:1/a:b', '--authfile', 'FILE', '-o', 'out'],
  ['audit', '--sign-key', 'FILE', '--report', 'out'],
  ['inspect', 'FILE'],
  ['rehydrate', '--platform', 'qemu', '--iso', 'FILE', '-o', 'out', '--no-cache'],
];

describe.each(FOREIGN)('a %s', (kind) => {
  beforeEach(() => rm(at('out'), { recursive: true, force: true }));

  test.each(OPTIONS.map((argv) => ({ argv, line: argv.join(' ') })))('$line', async ({ argv }) => {
    const env = { ISO_REHYDRATE_BUNDLE: at('bundle') };
    const paths = argv.map((word) =>
      word === 'FILE' ? at(kind) : word === 'out' || word === '.' ? at(word) : word,
    );
    const { code, stderr } = await cli(paths, { env });
    expect(stderr).toMatch(/not a regular file|neither a bundle nor a live ISO|the wrong ISO/);
    expect([3, 4, 5]).toContain(code);
  });

  test.each(['index.json', 'oci-layout'])('as the %s of a bundle', async (name) => {
    await cp(at('bundle'), at('out'), { recursive: true });
    await rm(at('out', name));
    await symlink(at(kind), at('out', name));
    const { code, stderr } = await cli(['inspect', at('out')]);
    expect(stderr).toMatch(/not a regular file|neither a bundle nor a live ISO/);
    expect([3, 5]).toContain(code);
  });

  test('as the report of a part', async () => {
    await mkdir(at('out'), { recursive: true });
    await symlink(at(kind), at('out/audit.json'));
    const argv = ['audit', '--merge', at('out'), '--report', at('merged')];
    expect((await cli(argv)).code).toBe(3);
  });

  test('as a login file in the usual places: it counts as absent', async () => {
    await mkdir(at('home/.docker'), { recursive: true });
    await rm(at('home/.docker/config.json'), { force: true });
    await symlink(at(kind), at('home/.docker/config.json'));
    const env = { HOME: at('home'), ISO_REHYDRATE_BUNDLE: at('bundle') };
    const { stderr } = await cli(['push', 'localhost:1/a:b', '--plain-http'], { env });
    expect(stderr).toContain('localhost:1');
  });
});

test('files that are too large are not read', async () => {
  await writeFile(at('large'), '');
  await execa('truncate', ['-s', '1T', at('large')]);
  for (const argv of OPTIONS.filter((words) => !/inspect|rehydrate/.test(words[0] ?? ''))) {
    const env = { ISO_REHYDRATE_BUNDLE: at('bundle') };
    const { code, stderr } = await cli(
      argv.map((word) => (word === 'FILE' ? at('large') : word)),
      { env },
    );
    expect(`${argv.join(' ')}: ${stderr}`).toContain('too large');
    expect(code).toBe(3);
  }
});
