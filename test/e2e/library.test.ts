import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blocksOf, readPage } from '../support/pages.ts';
import { cli } from './support/cli.ts';
import { partialRelease, pick } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { RESTING, releaseBundle } from './support/release-bundle.ts';

/**
 * The examples of docs/library.md, in the page's order and in one folder, on a part of the fixture: compiled like a
 * user's code, against the package's own types, and run against the build.
 */
const EXAMPLES = blocksOf(readPage('docs/library.md'), 'ts').map((text, index) => ({
  name: `example-${index + 1}.ts`,
  text,
}));

let folder: string;
beforeAll(async () => {
  const { cache } = await releaseBundle();
  // Inside the package, so that its name resolves to itself.
  await mkdir(resolve('.work'), { recursive: true });
  folder = await mkdtemp(resolve('.work/library-'));
  for (const { name, text } of EXAMPLES) await writeFile(join(folder, name), text);
  await execa('cp', ['-al', cache, join(folder, 'cache')]);
  const release = await partialRelease(join(folder, 'release'), ['qemu']);
  const { exitCode, stderr } = await cli([
    ...['dehydrate', ...release, '-o', join(folder, 'bundle'), '--quiet'],
    ...[...RESTING, '--cache-dir', join(folder, 'cache')],
  ]);
  expect(exitCode, stderr).toBe(0);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('each example compiles', async () => {
  const config = {
    extends: resolve('tsconfig.json'),
    compilerOptions: { rootDir: resolve('.') },
    include: [join(folder, '*.ts')],
  };
  const path = join(folder, 'tsconfig.json');
  await writeFile(path, JSON.stringify(config));
  const { all } = await execa('npx', ['tsc', '-p', path], { all: true, reject: false });
  expect(all).toBe('');
  // The compiler really checks them: a mistake in one is found.
  await writeFile(
    join(folder, 'wrong.ts'),
    "import { nothing } from 'iso-rehydrate';\nnothing();\n",
  );
  const wrong = await execa('npx', ['tsc', '-p', path], { all: true, reject: false });
  expect(wrong.all).toContain("has no exported member 'nothing'");
  await rm(join(folder, 'wrong.ts'));
});

const OUTPUTS: Readonly<Record<string, RegExp>> = {
  'example-1.ts': new RegExp(`^${pick('qemu', 'qcow2.xz').sha256} {2}\\S+ \\(\\d+ bytes\\)$`, 'm'),
  'example-2.ts': /^stopped$/m,
  'example-3.ts': /^qemu \S+ container$/m,
  'example-4.ts': /^\d+ artifacts$/m,
  'example-5.ts': /^GOOD \{ GOOD: 1,/m,
  'example-6.ts': /^200 \{/m,
  'example-7.ts': /^io [A-Z_]+ /m,
};

test.each(EXAMPLES)('$name runs', async ({ name }) => {
  const { stdout } = await execa(process.execPath, [name], { cwd: folder });
  expect(stdout).toMatch(OUTPUTS[name] ?? /^an example without an expectation$/);
  if (name !== 'example-1.ts') return;
  const { name: image, sha256 } = pick('qemu', 'qcow2.xz');
  expect(await sha256sum(join(folder, 'images', image))).toBe(sha256);
});
