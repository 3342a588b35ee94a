import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../test/support/cli.ts';
import { fileServer } from '../../../test/support/file-server.ts';
import { pushImages, writeDigestOf } from '../../../test/support/machine-os-images.ts';
import { type RegistryServer, registryServer } from '../../../test/support/registry-server.ts';
import {
  noise,
  type SyntheticBundle,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../../test/support/synthetic-bundle.ts';

/** The ISO of the bundle, and two of another stream: one with the same size, one with a different size. */
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let bundle: SyntheticBundle;
let registry: RegistryServer;
const at = (...names: string[]) => join(folder.path, ...names);

beforeAll(async () => {
  folder = await temporaryFolder();
  bundle = await writeSyntheticBundle(folder.path, { embedded: false });
  registry = await registryServer(at('registry'));
  await writeFile(at('other.iso'), noise(bundle.iso.length, 'of another stream'));
  await writeFile(at('small.iso'), noise(1000, 'small'));
  for (const name of ['live', 'other', 'small']) {
    await writeDigestOf(at(`${name}.iso`), at(`${name}.iso.sha256`));
  }
}, 120_000);
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let runs = 0;
/** Makes the kernel, which is part of the ISO, in an empty folder. */
async function make(iso: string, cache: string, ...more: string[]) {
  const out = at(`out-${runs++}`);
  const argv = ['-b', bundle.path, '-p', 'metal/pxe/kernel', '-o', `${out}/`, '--iso', iso];
  const result = await cli([...argv, '--cache-dir', at(cache), ...more]);
  const names = await readdir(out).catch(() => []);
  const made = names[0] === undefined ? undefined : await readFile(join(out, names[0]));
  return { ...result, made };
}
const kernel = () => bundle.targets.get('pxe/kernel');

const filesOf = (...names: string[]) =>
  Object.fromEntries(
    names.flatMap((name) => [
      [`coreos/${name}.iso`, at(`${name}.iso`)],
      [`coreos/${name}.iso.sha256`, at(`${name}.iso.sha256`)],
    ]),
  );

test.each(['gzip', 'zstd', 'none'] as const)(
  'the ISO is extracted from an image in a registry: %s layers, two streams',
  async (compression) => {
    const reference = `${registry.host}/openshift/${compression}:1`;
    const files = filesOf('other', 'live', 'small');
    await pushImages(folder.path, reference, [{ architecture: 'amd64', files, compression }]);
    const cache = `cache-${compression}`;
    const { code, stderr, made } = await make(`docker://${reference}`, cache);
    expect(code, stderr).toBe(0);
    expect(made).toEqual(kernel());
    // Only the ISO is kept, and nothing else was written.
    expect(await readdir(at(cache, 'blobs'))).toEqual([bundle.recipes.iso.sha256]);
    expect((await readdir(at(cache))).sort()).toEqual(['blobs']);
    // The next run needs no registry.
    const again = await make('docker://127.0.0.1:1/gone:1', cache);
    expect(again, again.stderr).toMatchObject({ code: 0, made: kernel() });
  },
);

test('from an image with several architectures, only the wanted one is read', async () => {
  const reference = `${registry.host}/openshift/several:1`;
  await pushImages(folder.path, reference, [
    { architecture: 's390x', files: filesOf('other'), compression: 'gzip' },
    { architecture: 'amd64', files: filesOf('live'), compression: 'gzip' },
  ]);
  const { code, stderr, made } = await make(`docker://${reference}`, 'cache-several');
  expect(code, stderr).toBe(0);
  expect(made).toEqual(kernel());
});

test('an image of another release: the error names its ISOs, and nothing is kept', async () => {
  const reference = `${registry.host}/openshift/another:1`;
  const files = filesOf('other', 'small');
  await pushImages(folder.path, reference, [{ architecture: 'amd64', files, compression: 'gzip' }]);
  const { code, stderr, made } = await make(`docker://${reference}`, 'cache-another');
  expect(code).toBe(4);
  expect(made).toBeUndefined();
  expect(stderr).toContain('ISO_ABSENT');
  expect(stderr).toContain('live.iso');
  expect(stderr).toMatch(/coreos\/other\.iso \(300000 bytes, sha256:[0-9a-f]{64}\)/);
  expect(await readdir(at('cache-another', 'blobs'))).toEqual([]);
});

test('a damaged ISO in the cache is fetched again; a cache that is too small keeps nothing, but the run succeeds', async () => {
  const reference = `${registry.host}/openshift/gzip:1`;
  const path = at('cache-gzip', 'blobs', bundle.recipes.iso.sha256);
  await rm(path);
  await writeFile(path, Buffer.alloc(bundle.iso.length));
  const mended = await make(`docker://${reference}`, 'cache-gzip');
  expect(mended, mended.stderr).toMatchObject({ code: 0, made: kernel() });
  expect(await readFile(path)).toEqual(bundle.iso);
  const tiny = await make(`docker://${reference}`, 'cache-tiny', '--cache-size', '1k');
  expect(tiny, tiny.stderr).toMatchObject({ code: 0, made: kernel() });
  expect(await readdir(at('cache-tiny', 'blobs'))).toEqual([]);
  const none = await cli([
    ...['-b', bundle.path, '-p', 'metal/pxe/kernel', '-o', `${at('out-none')}/`, '--no-cache'],
    ...['--iso', `docker://${reference}`],
  ]);
  expect(none.code, none.stderr).toBe(0);
  expect(await readdir(at('out-none'))).toEqual(['live-kernel']);
});

test('an OCI layout, an archive, a folder of ISOs, a URL', async () => {
  const layout = at('machine-os-images');
  const files = filesOf('other', 'live');
  const reference = `${registry.host}/openshift/local:1`;
  await pushImages(folder.path, reference, [{ architecture: 'amd64', files, compression: 'zstd' }]);
  expect(await make(layout, 'cache-layout')).toMatchObject({ code: 0, made: kernel() });
  expect(await make(`oci:${layout}`, 'cache-oci')).toMatchObject({ code: 0, made: kernel() });

  await mkdir(at('isos'));
  await copyFile(at('other.iso'), at('isos', 'live.iso'));
  const none = await make(at('isos'), 'cache-folder');
  expect(none.code).toBe(4);
  expect(none.stderr).toContain('live.iso (300000 bytes)');
  await copyFile(at('live.iso'), at('isos', 'whatever'));
  expect(await make(at('isos'), 'cache-folder')).toMatchObject({ code: 0, made: kernel() });

  const served = ['live.iso', 'other.iso'] as const;
  const bytes = await Promise.all(served.map((name) => readFile(at(name))));
  await using server = await fileServer(
    new Map(served.map((name, index) => [name, bytes[index] ?? Buffer.alloc(0)])),
  );
  const url = await make(`${server.url}/live.iso`, 'cache-url');
  expect(url, url.stderr).toMatchObject({ code: 0, made: kernel() });
  expect(await make('http://127.0.0.1:1/live.iso', 'cache-url')).toMatchObject({ code: 0 });
  const wrong = await make(`${server.url}/other.iso`, 'cache-wrong');
  expect(wrong.code).toBe(4);
  expect(wrong.stderr).toContain('DOWNLOAD_DIGEST');
  const gone = await make(`${server.url}/gone.iso`, 'cache-wrong');
  expect(gone.code).toBe(7);
  expect((await stat(at('cache-wrong', 'blobs'))).isDirectory()).toBe(true);
  expect(await readdir(at('cache-wrong', 'blobs'))).toEqual([]);
});

test('a truncated or damaged layer is an error, and leaves nothing', async () => {
  const layout = at('machine-os-images');
  const files = filesOf('live');
  const reference = `${registry.host}/openshift/cut:1`;
  await pushImages(folder.path, reference, [{ architecture: 'amd64', files, compression: 'gzip' }]);
  const blobs = join(layout, 'blobs/sha256');
  const sizes = await Promise.all(
    (await readdir(blobs)).map(async (name) => ({ name, ...(await stat(join(blobs, name))) })),
  );
  const [largest] = sizes.sort((a, b) => b.size - a.size);
  const path = join(blobs, largest?.name ?? '');
  const bytes = await readFile(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 1000));
  expect([3, 4]).toContain((await make(layout, 'cache-cut')).code);
  const flipped = Buffer.from(bytes);
  flipped.fill(0, 1000, 2000);
  await writeFile(path, flipped);
  const { code, made, stderr } = await make(layout, 'cache-cut');
  expect([3, 4], stderr).toContain(code);
  expect(made).toBeUndefined();
  expect(await readdir(at('cache-cut', 'blobs'))).toEqual([]);
  expect((await readdir(at('cache-cut'))).sort()).toEqual(['blobs', 'metal']);
});
