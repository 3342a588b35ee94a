import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { temporaryFolder, writeSyntheticBundle } from '../../test/support/synthetic-bundle.ts';
import { encodeIndex } from '../formats/oci/oci.ts';
import { blobPath } from './blobs.ts';
import { openBundle, recipesFor } from './read.ts';
import { createBundleWriter } from './write.ts';

async function* walk(folder: string): AsyncGenerator<string> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) yield join(entry.parentPath, entry.name);
  }
}

async function drain(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of chunks) bytes += chunk.length;
  return bytes;
}

test('a written bundle reads back, each blob under its digest and referred to', async () => {
  await using folder = await temporaryFolder();
  const { path, recipes } = await writeSyntheticBundle(folder.path);
  const bundle = await openBundle(path);
  expect(bundle.recipes).toEqual([recipes]);
  const blobs = await readdir(join(path, 'blobs', 'sha256'));
  const { stdout } = await execa('sha256sum', blobs, { cwd: join(path, 'blobs', 'sha256') });
  expect(stdout.split('\n')).toEqual(blobs.map((name) => `${name}  ${name}`));
  // stream, ISO, 3 deltas, recipes, manifest, index
  expect(blobs).toHaveLength(8);
  expect(await readdir(path)).toEqual(['blobs', 'index.json', 'oci-layout']);
  expect(await readdir(join(path, 'blobs'))).toEqual(['sha256']);
});

test('the manifest describes each layer', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  const read = async (digest: string) =>
    JSON.parse(await readFile(join(path, 'blobs', digest.replace(':', '/')), 'utf8'));
  const layout = JSON.parse(await readFile(join(path, 'index.json'), 'utf8'));
  expect(layout.manifests).toHaveLength(1);
  expect(layout.manifests[0].annotations['org.opencontainers.image.ref.name']).toBe('42.1');
  const index = await read(layout.manifests[0].digest);
  expect(index.manifests[0].platform).toEqual({ architecture: 'amd64', os: 'linux' });
  const manifest = await read(index.manifests[0].digest);
  expect(manifest.artifactType).toBe('application/vnd.iso-rehydrate.bundle.v1');
  const titles = manifest.layers.map(
    (layer: { annotations: Record<string, string> }) =>
      layer.annotations['org.opencontainers.image.title'],
  );
  expect(titles).toEqual([
    ...['live.iso', 'stream.json', 'live-kernel.rdiff.zst', 'live-initramfs.rdiff.zst'],
    'qemu.qcow2.rdiff.zst',
  ]);
});

test('the same inputs give the same bytes', async () => {
  await using one = await temporaryFolder();
  await using two = await temporaryFolder();
  const bundles = [await writeSyntheticBundle(one.path), await writeSyntheticBundle(two.path)];
  const contents = await Promise.all(
    bundles.map(async ({ path }) => {
      const files: Record<string, string> = {};
      for await (const file of walk(path)) {
        files[file.slice(path.length)] = (await readFile(file)).toString('base64');
      }
      return files;
    }),
  );
  expect(contents[0]).toEqual(contents[1]);
});

test('a copy of one architecture made by registry tools also opens', async () => {
  await using folder = await temporaryFolder();
  const { path, recipes } = await writeSyntheticBundle(folder.path);
  const layout = JSON.parse(await readFile(join(path, 'index.json'), 'utf8'));
  const digest: string = layout.manifests[0].digest;
  const inner = await readFile(join(path, 'blobs', digest.replace(':', '/')));
  const { manifests } = JSON.parse(inner.toString());
  await writeFile(join(path, 'index.json'), encodeIndex({ manifests }));
  expect((await openBundle(path)).recipes).toEqual([recipes]);
});

test('an absent architecture is an error that lists the available ones', async () => {
  await using folder = await temporaryFolder();
  const bundle = await openBundle((await writeSyntheticBundle(folder.path)).path);
  expect(() => recipesFor(bundle, 's390x')).toThrow(
    expect.objectContaining({ code: 'ARCH_ABSENT', hint: expect.stringContaining('x86_64') }),
  );
});

test('any damage to a JSON document is found before it is parsed', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  for (const name of await readdir(join(path, 'blobs', 'sha256'))) {
    const file = join(path, 'blobs', 'sha256', name);
    const bytes = await readFile(file);
    if (bytes[0] !== 0x7b || bytes.includes('"architectures"')) continue; // stream.json is not read
    const damaged = Buffer.from(bytes);
    damaged[10] = (damaged[10] ?? 0) ^ 1;
    await writeFile(file, damaged);
    await expect(openBundle(path)).rejects.toMatchObject({ code: 'BLOB_DIGEST' });
    await truncate(file, bytes.length - 1);
    await expect(openBundle(path)).rejects.toMatchObject({ code: 'BLOB_SIZE' });
    await rm(file);
    await expect(openBundle(path)).rejects.toMatchObject({ code: 'BLOB_MISSING' });
    await symlink('/dev/zero', file);
    await expect(openBundle(path)).rejects.toMatchObject({ code: 'BLOB_NOT_A_FILE' });
    await rm(file);
    await writeFile(file, bytes);
  }
  await openBundle(path);
});

test('a damaged delta is found when its stream ends', async () => {
  await using folder = await temporaryFolder();
  const { path, recipes } = await writeSyntheticBundle(folder.path);
  const bundle = await openBundle(path);
  const recipe = recipes.artifacts.at(-1)?.recipe;
  if (recipe?.kind !== 'delta') throw new Error('a delta was expected');
  expect(await drain(bundle.readBlob(recipe.delta))).toBe(recipe.delta.size);
  const file = blobPath(path, recipe.delta.sha256);
  const bytes = await readFile(file);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0x80;
  await writeFile(file, bytes);
  await expect(drain(bundle.readBlob(recipe.delta))).rejects.toMatchObject({ code: 'BLOB_DIGEST' });
});

test('index.json that is hostile', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  const index = join(path, 'index.json');
  await writeFile(index, '{"schemaVersion":2,"manifests":[]}');
  await expect(openBundle(path)).rejects.toMatchObject({ code: 'NO_RECIPES' });
  await writeFile(index, Buffer.alloc(2 << 20, 0x20));
  await expect(openBundle(path)).rejects.toMatchObject({ code: 'TOO_LARGE' });
  await rm(join(path, 'oci-layout'));
  await expect(openBundle(path)).rejects.toMatchObject({ code: 'NOT_A_BUNDLE' });
});

test('nothing appears at the target, and nothing stays beside it, without commit', async () => {
  await using folder = await temporaryFolder();
  {
    await using writer = await createBundleWriter(join(folder.path, 'b'));
    await writer.addBytes(Buffer.from('x'));
    await expect(
      writer.addStream(async (sink) => {
        await sink.write(Buffer.from('y'));
        throw new Error('boom');
      }),
    ).rejects.toThrow('boom');
    expect(await readdir(join(writer.path, 'blobs', 'sha256'))).toHaveLength(1);
  }
  expect(await readdir(folder.path)).toEqual([]);
});

test('a bundle is replaced only with force, and anything else never', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  await expect(createBundleWriter(path)).rejects.toMatchObject({ code: 'BUNDLE_EXISTS' });
  const before = await readFile(join(path, 'index.json'));
  await writeSyntheticBundle(folder.path, { force: true, embedded: false });
  expect(await readFile(join(path, 'index.json'))).not.toEqual(before);
  expect((await readdir(folder.path)).sort()).toEqual(['bundle', 'live.iso', 'metal.raw']);

  const precious = join(folder.path, 'precious');
  await mkdir(precious);
  await writeFile(join(precious, 'thesis.txt'), 'x');
  for (const target of [precious, join(folder.path, 'live.iso')]) {
    await expect(createBundleWriter(target, { force: true })).rejects.toMatchObject({
      code: 'BUNDLE_EXISTS',
      hint: expect.stringContaining('only bundles'),
    });
  }
});

test('an empty folder is a fine target', async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, 'bundle'));
  await openBundle((await writeSyntheticBundle(folder.path)).path);
});

test('a target that cannot be made is an IoError', async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'file'), '');
  await expect(createBundleWriter(join(folder.path, 'file', 'b'))).rejects.toMatchObject({
    kind: 'io',
  });
});

test('files beside a bundle are not removed with it', async () => {
  await using folder = await temporaryFolder();
  const { path } = await writeSyntheticBundle(folder.path);
  for (const name of ['notes.txt', 'blobs/notes.txt', 'blobs/sha256/notes.txt']) {
    await writeFile(join(path, name), 'mine');
    await expect(createBundleWriter(path, { force: true }), name).rejects.toMatchObject({
      code: 'BUNDLE_EXISTS',
      message: expect.stringContaining(name),
    });
    expect(await readFile(join(path, name), 'utf8')).toBe('mine');
    await rm(join(path, name));
  }
  const writer = await createBundleWriter(path, { force: true });
  await writer[Symbol.asyncDispose]();
});

test('a target that appeared while the bundle was made is not replaced', async () => {
  await using folder = await temporaryFolder();
  await using writer = await createBundleWriter(join(folder.path, 'b'));
  await writer.addIndex({ manifests: [] });
  await mkdir(join(folder.path, 'b'));
  await writeFile(join(folder.path, 'b', 'thesis.txt'), 'x');
  await expect(writer.commit()).rejects.toMatchObject({ code: 'BUNDLE_EXISTS' });
  expect(await readdir(join(folder.path, 'b'))).toEqual(['thesis.txt']);
});
