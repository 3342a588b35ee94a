import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, filesBelow, output, qemusWith, sha256sum } from './support/cli.ts';
import { pick, promised } from './support/fixture.ts';
import { dehydrateArgs, releaseBundle } from './support/release-bundle.ts';

/**
 * The main job on the whole x86_64 fixture, through the built command line and real VM boots. What
 * comes out is judged by sha256sum, rdiff, qemu-img, tar and diff, never by our own code.
 */
let folder: string;
let bundle: string;
let cache: string;
let images: string;
let dehydrated: Awaited<ReturnType<typeof cli>>;

const artifacts = promised();
const blob = (sha256: string) => join(bundle, 'blobs/sha256', sha256);

const dehydrate = (target: string) => cli(dehydrateArgs(target, cache));

const rehydrate = (...args: string[]) =>
  cli(['--arch', 'x86_64', '--bundle', bundle, '--cache-dir', cache, '--quiet', ...args]);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'main-job-'));
  images = join(folder, 'images');
  ({ bundle, cache, result: dehydrated } = await releaseBundle());
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface Recipe {
  kind: string;
  base?: string;
  delta?: { sha256: string; size: number };
}
interface Listed {
  platform: string;
  format: string;
  file: string;
  name: string;
  sha256: string;
  recipe: Recipe;
}

async function listed(): Promise<Listed[]> {
  const { stdout } = await cli(['inspect', bundle, '--json']);
  const found: { bundle?: { architectures: { artifacts: Listed[] }[] } } = JSON.parse(stdout);
  return found.bundle?.architectures[0]?.artifacts ?? [];
}

describe('dehydrate', () => {
  test('succeeds and its table names every artifact', () => {
    expect(dehydrated.stderr).toBe('');
    expect(dehydrated.exitCode).toBe(0);
    for (const { platform } of artifacts) expect(dehydrated.stdout).toContain(platform);
  });

  test('covers every artifact of the stream, with the digests of the stream', async () => {
    const key = (a: { name: string; sha256: string }) => `${a.name} ${a.sha256}`;
    expect((await listed()).map(key).sort()).toEqual(artifacts.map(key).sort());
  });

  test('deltas are small: under 200 kB for disks, under 4 kB for PXE files', async () => {
    for (const { platform, format, file, recipe } of await listed()) {
      const label = `${platform}/${format}/${file}`;
      if (recipe.delta === undefined) continue;
      // VMDK grains are deflated; their codec is a later step.
      if (format.startsWith('vmdk')) expect(recipe.delta.size, label).toBeLessThan(150e6);
      else expect(recipe.delta.size, label).toBeLessThan(format === 'pxe' ? 4000 : 200_000);
    }
  });

  test('is an OCI image layout whose blobs are what their names say', async () => {
    expect(JSON.parse(await readFile(join(bundle, 'oci-layout'), 'utf8'))).toEqual({
      imageLayoutVersion: '1.0.0',
    });
    const names = await readdir(join(bundle, 'blobs/sha256'));
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(await sha256sum(blob(name))).toBe(name);
  });

  test('the same inputs give the same bytes', async () => {
    const again = join(folder, 'again');
    expect((await dehydrate(again)).exitCode).toBe(0);
    expect(await output('diff', ['-r', bundle, again])).toBe('');
    await rm(again, { recursive: true });
  });

  test('refuses to replace a bundle unasked', async () => {
    const { exitCode, stderr } = await dehydrate(bundle);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(bundle);
  });
});

describe('rehydrate', () => {
  test('everything, by one boot, without any cache', async () => {
    const logs = join(folder, 'logs');
    const all = await cli([
      ...['--arch', 'amd64', '--bundle', bundle, '--platform', 'all', '--format', 'all'],
      ...['-o', `${images}/`, '--no-cache', '--json', '--log-dir', logs],
    ]);
    expect(all.exitCode, all.stderr.slice(-2000)).toBe(0);
    const events = all.stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line): { type: string; phase?: string; subject: string; done?: number } =>
        JSON.parse(line),
      );
    const boots = events.filter((e) => e.type === 'phase' && e.phase === 'unpack');
    expect(new Set(boots.map((e) => e.subject)).size).toBe(boots.length); // one boot, no retry
    // QMP's block statistics give a real percentage, not just 0 and 100.
    const unpacking = events.filter((e) => e.type === 'advance' && e.phase === 'unpack');
    expect(unpacking.length).toBeGreaterThan(5);
    expect(qemusWith(folder)).toEqual([]);
    expect((await readdir(images)).sort()).toEqual(artifacts.map((a) => a.name).sort());
  });

  test.each(artifacts)('$platform $format $file has the promised SHA-256', async (artifact) => {
    expect(await sha256sum(join(images, artifact.name))).toBe(artifact.sha256);
  });

  test('a 16 GiB VHD is a sparse file', async () => {
    const { size, blocks } = await stat(join(images, pick('azure', 'vhd.xz').name));
    expect(size).toBeGreaterThan(16 * 2 ** 30);
    expect(blocks * 512).toBeLessThan(2 ** 30);
  });

  test.each(artifacts.filter((a) => /^(qcow2|vmdk)/.test(a.format)))(
    'qemu-img finds $platform sound and equal to the released image',
    async ({ name, released, format }) => {
      const driver = format.startsWith('vmdk') ? 'vmdk' : 'qcow2';
      const original = join(folder, 'released');
      await output('sh', ['-c', 'xz -dc "$1" > "$2"', 'sh', released, original]);
      const ours = join(images, name);
      const compared = await output('qemu-img', [
        ...['compare', '-s', '-f', driver, '-F', driver, original, ours],
      ]);
      expect(compared).toContain('Images are identical');
      if (driver === 'qcow2') {
        expect(await output('qemu-img', ['check', '-f', 'qcow2', ours])).toContain('No errors');
      }
      await rm(original);
    },
  );

  test('rdiff makes the same file of every delta', async () => {
    for (const { platform, format, sha256, recipe } of await listed()) {
      if (recipe.kind !== 'delta' || !recipe.delta) continue;
      const base =
        recipe.base === 'iso'
          ? pick('metal', 'iso')
          : pick('metal', recipe.base === 'metal4k' ? '4k.raw.xz' : 'raw.xz');
      const delta = join(folder, 'delta');
      await output('zstd', ['-q', '-d', '-f', blob(recipe.delta.sha256), '-o', delta]);
      const pipe = 'rdiff patch "$1" "$2" - | openssl dgst -sha256 -r';
      const sum = await output('sh', ['-c', pipe, 'sh', join(images, base.name), delta]);
      expect(sum.slice(0, 64), `${platform}/${format}`).toBe(sha256);
    }
  });

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
