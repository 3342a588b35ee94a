import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';

/** What the program itself makes of an output that takes nothing: it is run by a shell. */
const BIN = join(import.meta.dirname, 'bin.ts');
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = (await writeSyntheticBundle(folder.path)).path;
});
afterAll(() => folder[Symbol.asyncDispose]());

async function shell(script: string) {
  const env = { NODE: process.execPath, BIN, B: bundle, XDG_CACHE_HOME: folder.path };
  const image = '-b "$B" -a x86_64 --no-cache -o - -p metal/iso';
  const run = `isore() { "$NODE" "$BIN" "$@"; }; image='${image}'`;
  const options = { reject: false, env } as const;
  return execa('bash', ['-o', 'pipefail', '-c', `${run}\neval "${script}"`], options);
}

test.each([
  ['an image to a full disk', 'isore $image >/dev/full', 7, 'no space left [DISK_FULL]'],
  ['a tar to a full disk', 'isore $image,metal/pxe >/dev/full', 7, 'no space left [DISK_FULL]'],
  ['a report to a full disk', 'isore inspect \\$B >/dev/full', 7, 'no space left [DISK_FULL]'],
  ['help to a full disk', 'isore --help >/dev/full', 7, 'no space left [DISK_FULL]'],
  ['an image to nothing', 'isore $image >&-', 7, 'it is closed'],
  ['an image to /dev/null', 'isore $image >/dev/null', 0, 'live.iso'],
  ['a reader that leaves', 'isore $image | true', 141, ''],
  ['progress that nobody can read', 'isore $image 2>/dev/full | wc -c', 0, ''],
])('%s', async (_what, script, code, text) => {
  const { exitCode, stderr } = await shell(script);
  expect(exitCode, stderr).toBe(code);
  expect(stderr).toContain(text);
  expect(stderr).not.toContain('this is a bug');
});
