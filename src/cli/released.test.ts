import { execFileSync } from 'node:child_process';
import { readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CliResult, cli } from '../../test/support/cli.ts';
import { sha256Of, temporaryFolder } from '../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../test/support/synthetic-release.ts';
import { openBundle } from '../bundle/read.ts';

/** Files of a release that the real gzip and zip have compressed, out and back again. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
let bundle: string;
let made: CliResult;
const at = (name: string) => join(folder.path, name);
const released = (name: string) => readFile(join(release.folder, name));

beforeAll(async () => {
  folder = await temporaryFolder();
  release = await writeSyntheticRelease(at('release'), { containers: true });
  await recompress('qemu', 'x-qemu.raw.gz', ['gzip', '-6']);
  await recompress('aws', 'x-aws.vmdk.gz', ['gzip', '-9', '-n']);
  await zipped('metal', 'x-metal.raw');
  bundle = at('bundle');
  made = await dehydrate(bundle);
}, 300_000);
afterAll(() => folder[Symbol.asyncDispose]());

/** Compresses a file of the release again, by a program, and tells the stream. */
async function recompress(platform: string, name: string, [program = '', ...options]: string[]) {
  const path = join(release.folder, name);
  const plain = path.replace(/\.gz$/, '');
  await writeFile(plain, gunzipSync(await readFile(path)));
  await utimes(plain, 1_735_689_600, 1_735_689_600);
  await rm(path);
  execFileSync(program, [...options, plain]);
  await retold(platform, name);
}

async function retold(platform: string, name: string) {
  const sha256 = sha256Of(await released(name));
  await release.edit((artifacts) => {
    for (const files of Object.values(artifacts[platform]?.formats ?? {})) {
      for (const file of Object.values(files))
        if (file.location.endsWith(name)) file.sha256 = sha256;
    }
  });
}

/** The metal disk as a zip instead of an xz. */
async function zipped(platform: string, name: string) {
  const xz = join(release.folder, `${name}.xz`);
  execFileSync('xz', ['-d', xz]);
  execFileSync('zip', ['-q', '-X', '-j', '-6', `${name}.zip`, name], { cwd: release.folder });
  await rm(join(release.folder, name));
  const sha256 = sha256Of(await released(`${name}.zip`));
  await release.edit((artifacts) => {
    const formats = artifacts[platform]?.formats ?? {};
    const disk = formats['raw.xz']?.disk;
    if (disk === undefined) throw new Error('a disk was expected');
    disk.location = disk.location.replace(/xz$/, 'zip');
    disk.sha256 = sha256;
    formats['raw.zip'] = { disk };
    delete formats['raw.xz'];
  });
}

const dehydrate = (target: string, ...more: string[]) =>
  cli(
    [
      ...['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder],
      ...['--cache-dir', at('cache'), '-o', target, ...more],
    ],
    { createEngine: () => release.engine },
  );

const rehydrate = (...argv: string[]) =>
  cli([...['-b', bundle, '--cache-dir', at('cache'), '--arch', 'x86_64'], ...argv], {
    createEngine: () => release.engine,
  });

test('the recipes say how each gz and zip was compressed', async () => {
  expect(made, made.stderr).toMatchObject({ code: 0 });
  const [recipes] = (await openBundle(bundle)).recipes;
  const layers = recipes?.artifacts.flatMap(({ platform, released: { name, layer } }) =>
    layer ? [{ platform, name, kind: layer.kind }] : [],
  );
  expect(layers).toEqual([
    { platform: 'aws', name: 'x-aws.vmdk.gz', kind: 'gz' },
    { platform: 'metal', name: 'x-metal.raw.zip', kind: 'zip' },
    { platform: 'qemu', name: 'x-qemu.raw.gz', kind: 'gz' },
  ]);
});

test('rehydrate --released makes the released files, byte for byte', async () => {
  const output = `${at('out')}/`;
  const result = await rehydrate('-p', 'all', '--released', '-o', output);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  const names = [
    ...['x-qemu.raw.gz', 'x-aws.vmdk.gz', 'x-metal.raw.zip', 'x-gcp.tar.gz', 'x-live.iso'],
    ...['x-live-kernel', 'x-nutanix.qcow2', 'x-vmware.ova'],
  ];
  for (const name of names) {
    expect((await readFile(join(output, name))).equals(await released(name)), name).toBe(true);
    const line = `${sha256Of(await released(name))}  ${join(output, name)}\n`;
    expect(result.stdout.toString()).toContain(line);
  }
  const again = await rehydrate('-p', 'all', '--released', '-o', output, '--json');
  const events = again.stdout.toString().trim().split('\n');
  expect(events.every((event) => JSON.parse(event).status === 'present')).toBe(true);
  expect(events.map((event) => JSON.parse(event).attestation)).toEqual(names.map(() => 'sha256'));
});

test('one released file goes to standard output', async () => {
  const { code, stdout } = await rehydrate('-p', 'qemu', '--released', '-o', '-');
  expect(code).toBe(0);
  expect(stdout.equals(await released('x-qemu.raw.gz'))).toBe(true);
});

describe('without layers', () => {
  test('--released none is the bundle of before, and its released files are refused', async () => {
    const plain = at('plain');
    const { code, stderr } = await dehydrate(plain, '--released', 'none');
    expect(code, stderr).toBe(0);
    const [recipes] = (await openBundle(plain)).recipes;
    for (const { released } of recipes?.artifacts ?? []) {
      expect(Object.keys(released).sort()).toEqual(['location', 'name', 'sha256', 'size']);
    }
    const result = await cli(
      ['-b', plain, '--arch', 'x86_64', '-p', 'qemu,gcp', '--released', '-o', `${at('none')}/`],
      { createEngine: () => release.engine },
    );
    expect(result.code).toBe(5);
    expect(result.stderr).toContain('the bundle does not say how x-qemu.raw.gz was compressed');
    expect(result.stderr).toContain('dehydrate --released gz');
    // The other file was made nevertheless.
    expect((await readFile(join(at('none'), 'x-gcp.tar.gz'))).length).toBeGreaterThan(0);
  });

  test('an unknown compressor is noted, and the target is covered as usual', async () => {
    const path = join(release.folder, 'x-qemu.raw.gz');
    const before = await readFile(path);
    const stream = await readFile(release.streamPath);
    try {
      // Two members: a gzip file, but not one that gzip makes of one file.
      const contents = gunzipSync(before);
      const half = (from: number, to?: number) =>
        execFileSync('gzip', ['-6', '-n'], { input: contents.subarray(from, to), maxBuffer: 1e9 });
      await writeFile(path, Buffer.concat([half(0, 1_200_000), half(1_200_000)]));
      await retold('qemu', 'x-qemu.raw.gz');
      const { code, stderr } = await dehydrate(at('odd'));
      expect(code, stderr).toBe(0);
      expect(stderr).toContain('only its contents can be made, not x-qemu.raw.gz');
      const [recipes] = (await openBundle(at('odd'))).recipes;
      const qemu = recipes?.artifacts.find(({ platform }) => platform === 'qemu');
      expect(qemu?.released).not.toHaveProperty('layer');
    } finally {
      await writeFile(path, before);
      await writeFile(release.streamPath, stream);
    }
  });
});

test('an unknown kind of compression is refused, and the error lists the known ones', async () => {
  const { code, stderr } = await dehydrate(at('wrong'), '--released', 'gzip');
  expect(code).toBe(2);
  expect(stderr).toContain('Choose from gz, zip, xz');
  expect((await dehydrate(at('wrong'), '--released', 'none,gz')).code).toBe(2);
});
