import { execFileSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CliResult, cli } from '../../test/support/cli.ts';
import { sha256Of, temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../test/support/synthetic-release.ts';

/** Files of a release that the real xz has compressed, out and back again. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
let made: CliResult;
const at = (name: string) => join(folder.path, name);
const released = (name: string) => readFile(join(release.folder, name));
const NAMES = ['x-metal.raw.xz', 'x-qemu.raw.xz', 'x-aws.vmdk.xz'];

beforeAll(async () => {
  folder = await temporaryFolder();
  release = await writeSyntheticRelease(at('release'), { containers: true });
  await recompress('metal', 'raw.xz', 'x-metal.raw.xz', ['-0', '-T2']);
  await recompress('qemu', 'raw.gz', 'x-qemu.raw.gz', ['-0', '-T2']);
  await recompress('aws', 'vmdk.gz', 'x-aws.vmdk.gz', ['-6e', '-T1']);
  made = await dehydrate(at('bundle'), '--released', 'gz,zip,xz');
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

/** Compresses a file of the release again with xz, and updates the stream. */
async function recompress(platform: string, format: string, name: string, options: string[]) {
  const file = await released(name);
  const contents = name.endsWith('.gz')
    ? gunzipSync(file)
    : execFileSync('xz', ['-dc'], { input: file, maxBuffer: 1e9 });
  await rm(join(release.folder, name));
  const as = name.replace(/gz$|xz$/, 'xz');
  const compressed = execFileSync('xz', ['-c', ...options], { input: contents, maxBuffer: 1e9 });
  await writeFile(join(release.folder, as), compressed);
  await release.edit((artifacts) => {
    const formats = artifacts[platform]?.formats ?? {};
    const disk = formats[format]?.disk;
    if (disk === undefined) throw new Error('a disk was expected');
    delete formats[format];
    disk.location = disk.location.replace(/gz$|xz$/, 'xz');
    disk.sha256 = sha256Of(compressed);
    formats[format.replace(/gz$|xz$/, 'xz')] = { disk };
  });
}

const withRelease = (argv: readonly string[]) =>
  cli([...argv, '--cache-dir', at('cache')], { createEngine: () => release.engine });
const dehydrate = (target: string, ...more: string[]) =>
  withRelease([
    ...['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder],
    ...['-o', target, ...more],
  ]);

test('rehydrate --released makes the .xz files, byte for byte', async () => {
  expect(made, made.stderr).toMatchObject({ code: 0 });
  const output = `${at('out')}/`;
  const platforms = ['-p', 'metal,qemu,aws', '--arch', 'x86_64', '--jobs', '2'];
  const result = await withRelease(['-b', at('bundle'), ...platforms, '--released', '-o', output]);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  for (const name of NAMES) {
    expect((await readFile(join(output, name))).equals(await released(name)), name).toBe(true);
  }
});

test('audit --released finds them GOOD, and inspect says how they are made', async () => {
  const report = at('report');
  const argv = ['audit', '-b', at('bundle'), '--released', '--report', report];
  const { code, stderr } = await withRelease(argv);
  expect(code, stderr).toBe(0);
  const { architectures } = JSON.parse(await readFile(join(report, 'audit.json'), 'utf8'));
  const found = architectures[0].artifacts.filter(({ name }: { name: string }) =>
    NAMES.includes(name),
  );
  expect(found).toHaveLength(NAMES.length);
  for (const { status, madeFrom } of found) {
    expect(status).toBe('GOOD');
    expect(madeFrom).toContain('xz by liblzma-5.8.4');
  }
  const inspected = await cli(['inspect', at('bundle')]);
  expect(inspected.stdout.toString()).toContain('xz by liblzma-5.8.4');
});

test('without --released xz, the bundle is as usual, and a hint says what to do', async () => {
  const { code, stderr } = await dehydrate(at('plain'));
  expect(code, stderr).toBe(0);
  const argv = ['-b', at('plain'), '-p', 'qemu', '--released', '-o', `${at('none')}/`];
  const refused = await withRelease([...argv, '--arch', 'x86_64']);
  expect(refused.code).toBe(5);
  expect(refused.stderr).toContain('dehydrate --released xz');
});

test('an unusual filter is noted, and the target is covered as usual', async () => {
  await recompress('qemu', 'raw.xz', 'x-qemu.raw.xz', ['--x86', '--lzma2=preset=0']);
  const { code, stderr } = await dehydrate(at('odd'), '--released', 'all');
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('only its contents can be made, not x-qemu.raw.xz');
});
