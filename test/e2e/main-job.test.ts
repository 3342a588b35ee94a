import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, filesBelow, output } from './support/cli.ts';
import { partialRelease, pick } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { dehydrateArgs, inspected, releaseBundle } from './support/release-bundle.ts';

/**
 * How the two verbs behave on a real release, through the built command line; architectures.test.ts
 * has what comes out of them. What is said here is judged by sha256sum, tar and diff.
 */
let folder: string;
let bundle: string;
let cache: string;

const blob = (sha256: string) => join(bundle, 'blobs/sha256', sha256);

const rehydrate = (...args: string[]) =>
  cli(['--arch', 'x86_64', '--bundle', bundle, '--cache-dir', cache, '--quiet', ...args]);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'main-job-'));
  ({ bundle, cache } = await releaseBundle());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('dehydrate', () => {
  test('is an OCI image layout whose blobs are what their names say', async () => {
    expect(JSON.parse(await readFile(join(bundle, 'oci-layout'), 'utf8'))).toEqual({
      imageLayoutVersion: '1.0.0',
    });
    const names = await readdir(join(bundle, 'blobs/sha256'));
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(await sha256sum(blob(name))).toBe(name);
  });

  test('the same inputs give the same bytes', async () => {
    const inputs = await partialRelease(join(folder, 'partial'), ['qemu', 'openstack']);
    const targets = [join(folder, 'once'), join(folder, 'twice')];
    for (const target of targets) {
      const { exitCode, stderr } = await cli([
        ...['dehydrate', ...inputs, '-o', target, '--cache-dir', cache, '--quiet'],
      ]);
      expect(exitCode, stderr).toBe(0);
    }
    expect(await output('diff', ['-r', ...targets])).toBe('');
    // The release's own bundle rests on another run of the machine, and has the same deltas.
    const all = new Map((await inspected(bundle)).artifacts.map((one) => [one.name, one]));
    for (const one of (await inspected(join(folder, 'once'))).artifacts) {
      expect(all.get(one.name)).toEqual(one);
    }
  });

  test('refuses to replace a bundle unasked', async () => {
    const { exitCode, stderr } = await cli(dehydrateArgs(bundle, cache));
    expect(exitCode).toBe(2);
    expect(stderr).toContain(bundle);
  });
});

describe('rehydrate', () => {
  test('prints lines for sha256sum -c', async () => {
    const { stdout, exitCode } = await rehydrate('--platform', 'qemu', '-o', `${folder}/one/`);
    expect(exitCode).toBe(0);
    await writeFile(join(folder, 'sums'), `${stdout}\n`);
    expect(await output('sha256sum', ['-c', join(folder, 'sums')])).toMatch(/: OK$/);
  });

  test('-o - is the file itself, several are a tar', async () => {
    const script =
      '"$0" dist/src/cli/bin.js --arch x86_64 -b "$1" --cache-dir "$2" -q -p qemu -o - | sha256sum';
    const one = await output('sh', ['-c', script, process.execPath, bundle, cache]);
    expect(one.slice(0, 64)).toBe(pick('qemu', 'qcow2.xz').sha256);

    const many = join(folder, 'many');
    await mkdir(many);
    const tarScript =
      '"$0" dist/src/cli/bin.js --arch x86_64 -b "$1" --cache-dir "$2" -q -p qemu,metal/pxe -o - | tar -x -C "$3"';
    await output('sh', ['-c', tarScript, process.execPath, bundle, cache, many]);
    for (const role of ['kernel', 'initramfs', 'rootfs']) {
      const { name, sha256 } = pick('metal', 'pxe', role);
      expect(await sha256sum(join(many, name))).toBe(sha256);
    }
    const qemu = pick('qemu', 'qcow2.xz');
    expect(await sha256sum(join(many, qemu.name))).toBe(qemu.sha256);
  });

  test('a reader that goes away ends it quietly', async () => {
    const script =
      '"$0" dist/src/cli/bin.js --arch x86_64 -b "$1" --cache-dir "$2" -q -p azure -o - | head -c 10 >/dev/null';
    await expect(output('sh', ['-c', script, process.execPath, bundle, cache])).resolves.toBe('');
  });

  test('PXE files need no boot and no metal disk', async () => {
    const fresh = join(folder, 'fresh-cache');
    const target = join(folder, 'pxe');
    const run = await cli([
      ...['--arch', 'x86_64', '-b', bundle, '--cache-dir', fresh, '-q'],
      ...['-p', 'metal', '-f', 'pxe', '-o', `${target}/`],
    ]);
    expect(run.exitCode).toBe(0);
    expect(filesBelow(fresh).filter((name) => name.endsWith('.raw'))).toEqual([]);
    for (const role of ['kernel', 'initramfs', 'rootfs']) {
      const { name, sha256 } = pick('metal', 'pxe', role);
      expect(await sha256sum(join(target, name))).toBe(sha256);
    }
  });

  test('a rotten disk in the cache is noticed by the hash of the output', async () => {
    const metal = pick('metal', 'raw.xz');
    const rotten = join(folder, 'rotten');
    await mkdir(join(rotten, 'metal'), { recursive: true });
    const disk = join(rotten, 'metal', `${metal.sha256}.raw`);
    await output('cp', [
      '--sparse=always',
      '-p',
      join(cache, 'metal', `${metal.sha256}.raw`),
      disk,
    ]);
    // Flip bytes behind the cache's back, as a bad disk does: the time stamp stays.
    await output('sh', [
      '-c',
      'chmod u+w "$1"; touch -r "$1" "$1.time"; printf rot | dd of="$1" bs=1 seek=1049000 conv=notrunc status=none; touch -r "$1.time" "$1"; rm "$1.time"; chmod a-w "$1"',
      'sh',
      disk,
    ]);
    const script =
      '"$0" dist/src/cli/bin.js --arch x86_64 -b "$1" --cache-dir "$2" -p metal -q -o - >/dev/null';
    const run = execa('sh', ['-c', script, process.execPath, bundle, rotten]);
    await expect(run).rejects.toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('error:'),
    });
    expect(filesBelow(rotten).filter((name) => name.endsWith('.raw'))).toEqual([]); // evicted
  });
});
