import {
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import {
  type SyntheticBundle,
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../test/support/synthetic-bundle.ts';
import { blobPath } from '../bundle/blobs.ts';
import type { Sha256 } from '../core/io/digest.ts';
import { openMetalCache } from '../engine/cache/metal-cache.ts';

/** Puts the bundle's metal disk into a cache, so that no boot is needed. */
async function fillCache(folder: string, { metal, recipes }: SyntheticBundle): Promise<string> {
  const dir = join(folder, 'cache');
  await using cache = await openMetalCache({ dir, maxBytes: 1e9 });
  const path = join(await cache.scratch(), 'metal.raw');
  await writeFile(path, metal);
  const base = recipes.bases.metal;
  if (base === undefined) throw new Error('metal was expected');
  await (await cache.admit(path, base)).close();
  return dir;
}

async function flip(path: string, position: number): Promise<void> {
  await using handle = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, position);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  await handle.write(byte, 0, 1, position);
}

function deltaOf({ recipes }: SyntheticBundle, name: string): Sha256 {
  const recipe = recipes.artifacts.find((artifact) => artifact.name === name)?.recipe;
  if (recipe?.kind !== 'delta') throw new Error(`${name} has no delta`);
  return recipe.delta.sha256;
}

test('files, their sha256sum lines, and a second run that keeps them', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const out = join(folder.path, 'out');
  const argv = ['-p', 'qemu,metal/pxe', '-b', bundle.path, '-o', out, '--cache-dir', cache];
  const first = await cli(argv);
  expect(first).toMatchObject({ code: 0 });
  await execa('sha256sum', ['--check', '--strict'], { input: first.stdout });
  expect(await readFile(join(out, 'qemu.qcow2'))).toEqual(bundle.targets.get('qemu'));
  expect(await readFile(join(out, 'live-kernel'))).toEqual(bundle.targets.get('pxe/kernel'));
  expect((await readdir(out)).sort()).toEqual(['live-initramfs', 'live-kernel', 'qemu.qcow2']);

  const second = await cli([...argv, '--json']);
  expect(second.code).toBe(0);
  const results = second.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(results.map(({ status }) => status)).toEqual(['present', 'present', 'present']);
  expect(results[2]).toMatchObject({
    type: 'result',
    architecture: 'x86_64',
    platform: 'qemu',
    format: 'qcow2.xz',
    path: join(out, 'qemu.qcow2'),
    attestation: 'uncompressed-sha256',
  });
});

test('the bundle comes from the environment, the platform alone means the raw disk', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const file = join(folder.path, 'disk.raw');
  const env = { ISO_REHYDRATE_BUNDLE: bundle.path, XDG_CACHE_HOME: folder.path };
  const { code, stderr } = await cli(
    ['--arch', 'amd64', '--platform', 'metal', '-o', file, '--cache-dir', cache],
    { env },
  );
  expect(code).toBe(0);
  expect(stderr).toContain('metal also has iso, pxe');
  expect(await readFile(file)).toEqual(bundle.metal);
});

test('one artifact on stdout is raw, several are a tar', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const argv = ['-b', bundle.path, '-o', '-', '--cache-dir', cache];
  const one = await cli(['-p', 'qemu', ...argv]);
  expect(one.code).toBe(0);
  expect(one.stdout.equals(bundle.targets.get('qemu') ?? Buffer.alloc(0))).toBe(true);
  expect(one.stderr).toContain(`${sha256Of(one.stdout)}  qemu.qcow2\n`);

  const several = await cli(['-p', 'qemu,metal', ...argv]);
  await mkdir(join(folder.path, 'x'));
  await execa('tar', ['-xf', '-', '-C', join(folder.path, 'x')], { input: several.stdout });
  expect(await readFile(join(folder.path, 'x', 'qemu.qcow2'))).toEqual(bundle.targets.get('qemu'));
  expect(await readFile(join(folder.path, 'x', 'metal.raw'))).toEqual(bundle.metal);
});

test('all: makes everything covered, then exits with code 5 for the rest', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const out = join(folder.path, 'out');
  const argv = ['-p', 'all', '-b', bundle.path, '-o', out, '--cache-dir', cache];
  const { code, stderr } = await cli(argv);
  expect(code).toBe(5);
  expect(stderr).toContain('not cover: aws');
  expect(await readdir(out)).toHaveLength(5);
  expect(await readFile(join(out, 'live.iso'))).toEqual(bundle.iso);
});

test('a damaged delta is reported as such, and no file remains', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const out = join(folder.path, 'out');
  const argv = ['-p', 'qemu', '-b', bundle.path, '-o', `${out}/`, '--cache-dir', cache];
  const path = blobPath(bundle.path, deltaOf(bundle, 'qemu.qcow2'));
  const good = await readFile(path);
  for (let position = 0; position < good.length; position += 3) {
    await flip(path, position);
    const { code, stderr } = await cli(argv);
    expect(code, stderr).toBe(4);
    expect(stderr).toContain('BLOB_DIGEST');
    expect(await readdir(out)).toEqual([]);
    await writeFile(path, good);
  }
  await writeFile(path, good.subarray(0, -1));
  expect(await cli(argv)).toMatchObject({ code: 4, stderr: expect.stringContaining('BLOB_SIZE') });
  expect(await readdir(out)).toEqual([]);
  await writeFile(path, good);
  expect(await cli(argv)).toMatchObject({ code: 0 });
});

test('a bad artifact does not stop the others; the error names each bad one', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const out = join(folder.path, 'out');
  const argv = ['-p', 'metal/pxe,qemu,metal', '-b', bundle.path, '-o', `${out}/`];
  await rm(blobPath(bundle.path, deltaOf(bundle, 'live-kernel')));
  const one = await cli([...argv, '--cache-dir', cache]);
  expect(one.code, one.stderr).toBe(4);
  expect((await readdir(out)).sort()).toEqual(['live-initramfs', 'metal.raw', 'qemu.qcow2']);
  expect(one.stdout.toString().trim().split('\n')).toHaveLength(3);
  expect(one.stderr).toMatch(/^metal\/pxe\/kernel: failed: blob/m);
  expect(one.stderr).toMatch(
    /^error: blob .* \[BLOB_MISSING\]\nwhere: artifact: metal\/pxe\/kernel$/m,
  );

  await rm(out, { recursive: true });
  await flip(blobPath(bundle.path, deltaOf(bundle, 'qemu.qcow2')), 30);
  const two = await cli([...argv, '--cache-dir', cache, '--json']);
  expect(two.code).toBe(4);
  expect((await readdir(out)).sort()).toEqual(['live-initramfs', 'metal.raw']);
  const [summary, error] = two.stderr
    .trim()
    .split('\n')
    .slice(-2)
    .map((line) => JSON.parse(line));
  expect(summary.architectures).toMatchObject([{ status: 'failed', written: 2 }]);
  expect(error).toMatchObject({
    code: 'ARTIFACTS_FAILED',
    message: '2 artifacts could not be made: metal/pxe/kernel, qemu',
    failures: [{ code: 'BLOB_MISSING' }, { code: 'BLOB_DIGEST', context: { artifact: 'qemu' } }],
  });
});

test('a damaged disk that cannot be remade fails only the images that need it', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const disk = join(cache, 'metal', `${bundle.recipes.bases.metal?.sha256}.raw`);
  const { atime, mtime } = await stat(disk);
  await chmod(disk, 0o600);
  await flip(disk, 9);
  await utimes(disk, atime, mtime);
  const out = join(folder.path, 'out');
  const argv = ['-p', 'qemu,metal,metal/pxe', '-b', bundle.path, '-o', `${out}/`];
  const { code, stderr } = await cli([...argv, '--cache-dir', cache]);
  expect(code, stderr).toBe(3); // the synthetic ISO cannot boot
  expect((await readdir(out)).sort()).toEqual(['live-initramfs', 'live-kernel']);
  expect(stderr).toContain('error: 2 artifacts could not be made: metal/raw, qemu');
  expect(stderr).not.toContain('internal error');
});

test('a damaged ISO in the bundle is found by the hash of an image', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  await flip(blobPath(bundle.path, bundle.recipes.iso.sha256), 5000);
  const out = join(folder.path, 'out');
  // One after the other: the first that comes out wrong shows that the ISO is damaged.
  const argv = ['-p', 'metal', '-f', 'pxe', '-b', bundle.path, '-o', out, '--no-cache', '-j', '1'];
  const { code, stderr } = await cli(argv);
  expect(code).toBe(4);
  expect(stderr).toContain('the ISO in the bundle is damaged');
  expect(await readdir(out)).toEqual([]);
});

test('a rotten cached disk is dropped and made again, at most once', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  const base = bundle.recipes.bases.metal;
  const disk = join(cache, 'metal', `${base?.sha256}.raw`);
  // As rot does it: other bytes, the same time stamp.
  await execa('bash', [
    '-c',
    'touch -r "$1" "$1.t"; printf X | dd of="$1" bs=1 seek=9 conv=notrunc; touch -r "$1.t" "$1"; rm "$1.t"',
    'rot',
    disk,
  ]);
  const out = join(folder.path, 'out');
  const argv = ['-p', 'qemu', '-b', bundle.path, '-o', `${out}/`, '--cache-dir', cache];
  const { code, stderr } = await cli(argv);
  expect(stderr).toContain('the cached metal disk was damaged and has been dropped');
  // The synthetic ISO cannot boot: making it again gets as far as reading that.
  expect(code).toBe(3);
  expect(stderr).toContain('ISO_');
  expect(await readdir(join(cache, 'metal'))).toEqual([]);
  expect(await readdir(out)).toEqual([]);
});

test('an ISO other than the bundle’s is refused before anything is made', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path, { embedded: false });
  const out = join(folder.path, 'out');
  const argv = ['-p', 'metal/pxe/kernel', '-b', bundle.path, '-o', out, '--no-cache'];
  const none = await cli(argv);
  expect(none).toMatchObject({ code: 2 });
  expect(none.stderr).toContain('https://example.com/live.iso');
  const iso = join(folder.path, 'live.iso');
  expect(await cli([...argv, '--iso', iso])).toMatchObject({ code: 0 });
  await rm(out);
  await flip(iso, 299_999);
  const wrong = await cli([...argv, '--iso', iso]);
  expect(wrong).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('is the wrong ISO for the bundle'),
  });
  await writeFile(iso, 'short');
  expect(await cli([...argv, '--iso', iso])).toMatchObject({ code: 4 });
  expect(await cli([...argv, '--iso', `${iso}.gone`])).toMatchObject({ code: 7 });
  expect((await readdir(folder.path)).sort()).toEqual(['bundle', 'live.iso', 'metal.raw']);
});

test('a different file at the output path stays, unless --force is given', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const file = join(folder.path, 'kernel');
  await writeFile(file, 'precious');
  const argv = ['-p', 'metal/pxe/kernel', '-b', bundle.path, '-o', file, '--no-cache'];
  const refused = await cli(argv);
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('OUTPUT_EXISTS') });
  expect(await readFile(file, 'utf8')).toBe('precious');
  expect(await cli([...argv, '--force'])).toMatchObject({ code: 0 });
  expect(await readFile(file)).toEqual(bundle.targets.get('pxe/kernel'));
});

test('an output that cannot be written is said before anything is made', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  await writeFile(join(folder.path, 'file'), '');
  for (const output of ['gone/x.qcow2', 'file/x.qcow2']) {
    // The engine of these tests fails with exit code 6 when it is asked.
    for (const cache of [['--no-cache'], ['--cache-dir', join(folder.path, 'cache')]]) {
      const argv = ['-p', 'qemu', '-b', bundle.path, '-o', join(folder.path, output), ...cache];
      expect(await cli(argv)).toMatchObject({ code: 7 });
    }
  }
  expect((await readdir(folder.path)).sort()).toEqual([
    ...['bundle', 'file', 'live.iso', 'metal.raw'],
  ]);
});

test('nothing but the stream and the blobs of the chain is read', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const cache = await fillCache(folder.path, bundle);
  await rm(blobPath(bundle.path, bundle.recipes.iso.sha256));
  await rm(blobPath(bundle.path, deltaOf(bundle, 'live-kernel')));
  const out = join(folder.path, 'q');
  const argv = ['-p', 'qemu', '-b', bundle.path, '-o', out, '--cache-dir', cache];
  expect(await cli(argv)).toMatchObject({ code: 0 });
  // Without the stream nothing says that the recipes are those of the release.
  await rm(blobPath(bundle.path, bundle.recipes.stream.sha256));
  expect(await cli(argv)).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('BLOB_MISSING'),
  });
});

test('cancelled: exit code of the signal, nothing left', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeSyntheticBundle(folder.path);
  const out = join(folder.path, 'out');
  const { CancelledError } = await import('../core/errors.ts');
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const reason = new CancelledError('stopped', { code: 'CANCELLED', context: { signal: name } });
    const result = await cli(
      ['-p', 'metal', '-f', 'pxe', '-b', bundle.path, '-o', out, '--no-cache'],
      {
        signal: AbortSignal.abort(reason),
      },
    );
    expect(result.code).toBe(code);
    expect(await readdir(folder.path)).not.toContain('out');
  }
});
