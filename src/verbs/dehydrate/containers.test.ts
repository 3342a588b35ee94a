import { copyFile, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { execa } from 'execa';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { golden } from '../../../test/golden/load.ts';
import { writeFootedVmdk } from '../../../test/golden/vmdk/footed.ts';
import { cli } from '../../../test/support/cli.ts';
import { noise, sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import {
  type SyntheticRelease,
  writeSyntheticRelease,
} from '../../../test/support/synthetic-release.ts';
import { blobPath } from '../../bundle/blobs.ts';
import { openBundle } from '../../bundle/read.ts';
import type { Recipe, RecipeArtifact } from '../../bundle/recipes.ts';
import { createBundleWriter } from '../../bundle/write.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { addIndex, addManifest } from './manifest.ts';

/** What containers that are taken apart add to the two verbs, on a release with a VMDK and an OVA. */
let root: Awaited<ReturnType<typeof temporaryFolder>>;
let release: SyntheticRelease;
let bundle: string;
let table: string;

beforeAll(async () => {
  root = await temporaryFolder();
  release = await writeSyntheticRelease(join(root.path, 'release'), { containers: true });
  bundle = join(root.path, 'bundle');
  const { code, stdout, stderr } = await dehydrate(bundle);
  expect(code, stderr).toBe(0);
  table = stdout.toString();
}, 60_000);
afterAll(() => root[Symbol.asyncDispose]());

function dehydrate(target: string, from = release, ...more: string[]) {
  const argv = ['dehydrate', '--stream', from.streamPath, '--artifacts', from.folder, ...more];
  return cli([...argv, '-o', target, '--cache-dir', join(root.path, 'cache')], {
    createEngine: () => from.engine,
  });
}

const rehydrate = (from: string, platform: string, to: string) =>
  cli(['-p', platform, '-b', from, '-o', to, '--cache-dir', join(root.path, 'cache')]);

type Container = Recipe & { kind: 'container' };

async function containerOf(path: string, platform: string): Promise<Container> {
  const [recipes] = (await openBundle(path)).recipes;
  const recipe = recipes?.artifacts.find((one) => one.platform === platform)?.recipe;
  if (recipe?.kind !== 'container') throw new Error(`${platform} is no container`);
  return recipe;
}

describe('a release with containers', () => {
  test('the table shows the layers and their sizes', () => {
    expect(table).toMatch(/^aws +vmdk .* vmdk < metal +stream's uncompressed-sha256$/m);
    expect(table).toMatch(/^vmware +tar .* splice < vmdk < metal +stream's sha256$/m);
    expect(table).toMatch(/^gcp +gzip .* splice < deflate < metal +stream's sha256$/m);
    expect(table).toMatch(/^qemu .* metal +stream's uncompressed-sha256$/m);
    expect(table).toContain('deltas and recipes');
  });

  test('every file comes back', async () => {
    const out = join(root.path, 'out/');
    const { code, stdout, stderr } = await rehydrate(bundle, 'aws,vmware,gcp', out);
    expect(code, stderr).toBe(0);
    await execa('sha256sum', ['--check', '--strict'], { input: stdout });
    const released = (name: string) => readFile(join(release.folder, name));
    const vmdk = gunzipSync(await released('x-aws.vmdk.gz'));
    expect((await readFile(join(out, 'x-aws.vmdk'))).equals(vmdk)).toBe(true);
    const ova = await released('x-vmware.ova');
    expect((await readFile(join(out, 'x-vmware.ova'))).equals(ova)).toBe(true);
    // Of gcp only the compressed bytes are attested: these come back.
    const gcp = await released('x-gcp.tar.gz');
    expect((await readFile(join(out, 'x-gcp.tar.gz'))).equals(gcp)).toBe(true);
  });

  test('deltas and recipes are small', async () => {
    for (const platform of ['aws', 'vmware', 'gcp']) {
      const { delta, layers } = await containerOf(bundle, platform);
      for (const { size } of [delta, ...layers.map(({ recipe }) => recipe)]) {
        expect(size).toBeLessThan(1000);
      }
    }
  });

  test('anybody can patch the payload', async () => {
    const { delta, payload } = await containerOf(bundle, 'vmware');
    await writeFile(
      join(root.path, 'delta'),
      zstdDecompressSync(await readFile(blobPath(bundle, delta.sha256))),
    );
    await execa('xz', ['-dkf', join(release.folder, 'x-metal.raw.xz')]);
    const argv = ['-f', 'patch', 'release/x-metal.raw', 'delta', 'payload'];
    await execa('rdiff', argv, { cwd: root.path });
    expect(sha256Of(await readFile(join(root.path, 'payload')))).toBe(payload.sha256);
  });

  test('the manifest describes each layer', async () => {
    const { layers } = await containerOf(bundle, 'vmware');
    const blobs = await readdir(join(bundle, 'blobs', 'sha256'));
    const manifests = await Promise.all(
      blobs.map(async (name) => {
        const bytes = await readFile(join(bundle, 'blobs', 'sha256', name));
        return bytes[0] === 0x7b ? JSON.parse(bytes.toString()) : {};
      }),
    );
    const described = manifests.flatMap((manifest) => manifest.layers ?? []);
    for (const { codec, recipe } of layers) {
      const found = described.find(({ digest }) => digest === `sha256:${recipe.sha256}`);
      expect(found).toMatchObject({
        mediaType: 'application/vnd.iso-rehydrate.codec-recipe.v1+zstd',
        annotations: {
          'io.github.iso-rehydrate.codec': codec,
          // aws and vmware share the blob of the VMDK, which is told once.
          'io.github.iso-rehydrate.layer': '0',
        },
      });
    }
  });

  test('twice the same bytes, and nothing beside the bundle', async () => {
    const again = join(root.path, 'again');
    expect((await dehydrate(again)).code).toBe(0);
    await execa('diff', ['-r', bundle, again]);
    expect((await readdir(join(bundle, 'blobs', 'sha256'))).sort()).toEqual(
      (await referredTo(bundle)).sort(),
    );
    expect((await readdir(root.path)).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

/** Every blob that somebody needs: those of the recipes, and JSON. */
async function referredTo(path: string): Promise<string[]> {
  const [recipes] = (await openBundle(path)).recipes;
  const names = new Set<string>();
  const walk = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return;
    if ('sha256' in value && 'size' in value) names.add(String(value.sha256));
    Object.values(value).forEach(walk);
  };
  walk(recipes);
  const blobs = await readdir(join(path, 'blobs', 'sha256'));
  const found = await Promise.all(
    blobs.map(async (name) => {
      const bytes = await readFile(join(path, 'blobs', 'sha256', name));
      return names.has(name) || bytes[0] === 0x7b ? [name] : [];
    }),
  );
  return found.flat();
}

describe('files that only look like containers', () => {
  async function withAws(vmdk: Buffer): Promise<SyntheticRelease> {
    const folder = join(root.path, `aws-${sha256Of(vmdk).slice(0, 8)}`);
    const made = await writeSyntheticRelease(folder, { containers: true });
    const file = gzipSync(vmdk);
    await writeFile(join(folder, 'x-aws.vmdk.gz'), file);
    await made.edit(({ aws }) => {
      const disk = aws?.formats['vmdk.gz']?.disk;
      if (!disk) throw new Error('no aws');
      disk.sha256 = sha256Of(file);
      disk['uncompressed-sha256'] = sha256Of(vmdk);
    });
    return made;
  }

  const secret = (...parts: (string | Buffer)[]) =>
    Buffer.concat([...parts.map((part) => Buffer.from(part)), noise(1_200_000, 'secret')]);
  const luks = Buffer.from('LUKS\xba\xbe\0\x02', 'latin1');

  test.each([
    [secret(Buffer.alloc(1 << 20), luks), 'encrypted by LUKS from byte 1048576 on'],
    [secret(Buffer.from('04224d18', 'hex')), 'compressed with lz4'],
  ])('data that matches nothing, %#: a note says why the delta is large', async (vmdk, why) => {
    const made = await withAws(vmdk);
    const target = join(made.folder, 'bundle');
    const { code, stderr } = await dehydrate(target, made);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/aws: note: its delta has 1[23]\d{5} bytes: /);
    expect(stderr).toContain(`the contents are ${why}, and no codec takes that apart`);
  });

  test.each([
    ['a header and nothing else', async () => Buffer.from('KDMV'.padEnd(5000, 'x'))],
    // More than may be held in memory until its turn comes.
    ['grains from last to first', () => writeFootedVmdk(Buffer.alloc(68 << 20, 'x'), 'descending')],
    ['a VMDK that is cut short', async () => (await releasedVmdk()).subarray(0, 300_000)],
    ['an encrypted qcow2', encryptedQcow2, '(encryption)'],
    ['a qcow2 of zstd', () => withFeature(3), 'kind that cannot be taken apart (zstd compression)'],
    [
      'a qcow2 of extended L2',
      () => withFeature(4),
      'kind that cannot be taken apart (extended L2)',
    ],
  ])('%s: taken as they are, and said why', async (_what, make, why = '') => {
    const vmdk = await make();
    const made = await withAws(vmdk);
    const target = join(made.folder, 'bundle');
    const { code, stdout, stderr } = await dehydrate(target, made);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('aws: note: not taken apart: it ');
    expect(stderr).toContain(why);
    expect(stderr).not.toContain(root.path);
    expect(stdout.toString()).toMatch(/^aws .* {2}metal {2}/m);
    expect((await readdir(join(target, 'blobs', 'sha256'))).sort()).toEqual(
      (await referredTo(target)).sort(),
    );
    const out = join(made.folder, 'out.vmdk');
    expect((await rehydrate(target, 'aws', out)).code).toBe(0);
    expect((await readFile(out)).equals(vmdk)).toBe(true);
  });

  /** As `-o compression_type=zstd` and `-o extended_l2=on` of qemu-img mark it. */
  async function withFeature(bit: number): Promise<Buffer> {
    const image = golden('qcow2/plain.qcow2');
    image.writeBigUInt64BE(1n << BigInt(bit), 72);
    return image;
  }

  /** As `-o encrypt.format=luks` marks it. */
  async function encryptedQcow2(): Promise<Buffer> {
    const image = golden('qcow2/plain.qcow2');
    image.writeUInt32BE(2, 32);
    return image;
  }

  const releasedVmdk = async () =>
    gunzipSync(await readFile(join(release.folder, 'x-aws.vmdk.gz')));
});

test('an OVA with two disks: the larger one is taken apart, and a note says how much of the other is stored', async () => {
  const folder = join(root.path, 'two-disks');
  const made = await writeSyntheticRelease(folder, { containers: true });
  const tar = pack();
  tar.entry({ name: 'coreos.ovf', mtime: new Date(0) }, '<Envelope/>');
  for (const [name, size] of Object.entries({ 'disk1.vmdk': 3 << 20, 'disk2.vmdk': 2 << 20 })) {
    const vmdk = await writeFootedVmdk(noise(size, name), 'ascending');
    tar.entry({ name, mtime: new Date(0) }, vmdk);
  }
  tar.finalize();
  const ova = await buffer(tar);
  await writeFile(join(folder, 'x-vmware.ova'), ova);
  await made.edit(({ vmware }) => {
    const disk = vmware?.formats.ova?.disk;
    if (disk) disk.sha256 = sha256Of(ova);
  });
  const target = join(folder, 'bundle');
  const { code, stderr } = await dehydrate(target, made);
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/vmware: note: not all taken apart: \d{7} bytes .* of its other files/);
  expect((await containerOf(target, 'vmware')).layers.map(({ codec }) => codec)).toEqual([
    ...['splice', 'vmdk'],
  ]);
  const out = join(folder, 'out.ova');
  expect((await rehydrate(target, 'vmware', out)).code).toBe(0);
  expect((await readFile(out)).equals(ova)).toBe(true);
});

test('a container that is not the released one is named, compressed or not', async () => {
  const folder = join(root.path, 'other');
  const made = await writeSyntheticRelease(folder, { containers: true });
  const ova = await readFile(join(folder, 'x-vmware.ova'));
  ova[2000] = (ova[2000] ?? 0) ^ 1;
  await writeFile(join(folder, 'x-vmware.ova'), ova);
  const result = await dehydrate(join(folder, 'bundle'), made);
  expect(result).toMatchObject({ code: 4 });
  expect(result.stderr).toContain('x-vmware.ova does not have the SHA-256 of the stream');
  expect(await readdir(folder)).not.toContain('bundle');
});

test('stopped while it unpacks: nothing stays', async () => {
  const folder = join(root.path, 'stopped');
  const stop = new AbortController();
  const argv = ['dehydrate', '--stream', release.streamPath, '--artifacts', release.folder];
  const running = cli([...argv, '-o', folder, '--cache-dir', join(root.path, 'c2'), '--json'], {
    createEngine: () => ({
      ...release.engine,
      async regenerate(request) {
        const made = await release.engine.regenerate(request);
        setTimeout(() => stop.abort(), 20);
        return made;
      },
    }),
    signal: stop.signal,
  });
  expect((await running).code).not.toBe(0);
  expect((await readdir(root.path)).filter((name) => /stopped/.test(name))).toEqual([]);
});

describe('damaged and hostile bundles', () => {
  /** A copy of the bundle; `change` may edit the recipe of an artifact. */
  async function copyOf(
    name: string,
    change: (recipe: Container, add: (bytes: Buffer) => Promise<BlobRef>) => Promise<Container>,
    platform = 'aws',
  ): Promise<string> {
    const target = join(root.path, name);
    await using writer = await createBundleWriter(target);
    for (const blob of await readdir(join(bundle, 'blobs', 'sha256'))) {
      await writer.addFile(join(bundle, 'blobs', 'sha256', blob));
    }
    const [recipes] = (await openBundle(bundle)).recipes;
    if (recipes === undefined) throw new Error('no recipes');
    const artifacts: RecipeArtifact[] = [];
    for (const artifact of recipes.artifacts) {
      const { recipe } = artifact;
      const changed =
        artifact.platform === platform && recipe.kind === 'container'
          ? await change(recipe, (bytes) => writer.addBytes(bytes))
          : recipe;
      artifacts.push({ ...artifact, recipe: changed });
    }
    const manifest = await addManifest(writer, { ...recipes, artifacts });
    await addIndex(writer, [manifest], recipes.release);
    await writer.commit();
    return target;
  }

  const first = ({ layers: [layer] }: Container) => {
    if (layer === undefined) throw new Error('no layer');
    return layer;
  };
  const read = async ({ sha256 }: BlobRef) => readFile(blobPath(bundle, sha256));

  async function expectFailure(path: string, code: number, text: string, platform = 'aws') {
    const out = join(root.path, 'never');
    const result = await rehydrate(path, platform, `${out}/`);
    expect(result.stderr).toContain(text);
    expect(result.code, result.stderr).toBe(code);
    expect(await readdir(out)).toEqual([]);
  }

  test('a recipe blob that is cut short or has a flipped bit', async () => {
    const path = await copyOf('damaged', async (recipe) => recipe);
    const blob = blobPath(path, first(await containerOf(path, 'aws')).recipe.sha256);
    const good = await readFile(blob);
    const flipped = Buffer.from(good);
    flipped[40] = (flipped[40] ?? 0) ^ 4;
    await writeFile(blob, flipped);
    await expectFailure(path, 4, 'is damaged: its SHA-256 is');
    await copyFile(blobPath(bundle, first(await containerOf(path, 'aws')).recipe.sha256), blob);
    await truncate(blob, good.length - 1);
    await expectFailure(path, 4, 'the bundle promises');
  });

  /** The digest is right, but what it is of is not. */
  const withRecipe = (name: string, change: (recipe: Buffer) => Buffer) =>
    copyOf(name, async (recipe, add) => {
      const layer = first(recipe);
      const blob = await add(change(await read(layer.recipe)));
      return { ...recipe, layers: [{ ...layer, recipe: blob }] };
    });

  test('a recipe that is not a zstd frame, not a recipe, or truncated', async () => {
    await expectFailure(await withRecipe('no-zstd', () => Buffer.from('x')), 3, 'zstd');
    const junk = zstdCompressSync(Buffer.from('junk'));
    await expectFailure(await withRecipe('junk', () => junk), 3, 'vmdk recipe: no magic');
    const cut = (blob: Buffer) => zstdCompressSync(zstdDecompressSync(blob).subarray(0, -10));
    await expectFailure(await withRecipe('cut', cut), 3, 'vmdk recipe: truncated');
  });

  test('a recipe that unpacks to gigabytes is stopped early', async () => {
    const bomb = zstdCompressSync(Buffer.alloc(80 << 20));
    expect(bomb.length).toBeLessThan(100_000);
    await expectFailure(await withRecipe('bomb', () => bomb), 3, 'unpacks to more than');
  });

  test('the recipe of another artifact', async () => {
    const path = await copyOf('swapped', async (recipe) => ({
      ...recipe,
      layers: (await containerOf(bundle, 'vmware')).layers,
    }));
    await expectFailure(path, 3, 'do not fit together');
  });

  test('layers in the wrong order', async () => {
    const turn = async (recipe: Container) => ({ ...recipe, layers: recipe.layers.toReversed() });
    const path = await copyOf('reversed', turn, 'vmware');
    await expectFailure(path, 3, 'do not fit together', 'vmware');
  });

  test('a codec and a deflater that this version does not know, without a boot', async () => {
    const codec = await copyOf('codec', async (recipe) => ({
      ...recipe,
      layers: [{ ...first(recipe), codec: 'squeeze' }],
    }));
    await expectFailure(codec, 5, 'x-aws.vmdk needs the codec squeeze, which this version lacks');
    const inspected = await cli(['inspect', codec]);
    expect(inspected.stdout.toString()).toContain('squeeze < metal');
    expect((await rehydrate(codec, 'vmware', `${codec}-out/`)).code).toBe(0);
    const deflater = await copyOf('deflater', async (recipe) => ({
      ...recipe,
      layers: [{ ...first(recipe), requires: ['zlib-9'] }],
    }));
    await expectFailure(deflater, 5, 'needs the codec zlib-9');
  });

  test('too many layers, or none', async () => {
    for (const count of [0, 9]) {
      const path = await copyOf(`layers-${count}`, async (recipe) => ({
        ...recipe,
        layers: Array(count).fill(first(recipe)),
      }));
      const { code, stderr } = await cli(['inspect', path]);
      expect(code).toBe(3);
      expect(stderr).toMatch(/\$\.artifacts\[0\]\.recipe\.layers/);
    }
  });

  test('a wrong hash or size of the payload', async () => {
    const sha256 = sha256Of(Buffer.from('other'));
    const hash = await copyOf('payload-hash', async (recipe) => ({
      ...recipe,
      payload: { ...recipe.payload, sha256 },
    }));
    // What proves the artifact is its own hash: that of the payload is for those who use rdiff.
    expect((await rehydrate(hash, 'aws', join(hash, 'aws.vmdk'))).code).toBe(0);

    const size = await copyOf('payload-size', async (recipe) => ({
      ...recipe,
      payload: { ...recipe.payload, size: recipe.payload.size - 512 },
    }));
    await expectFailure(size, 3, 'do not fit together');
  });

  test('a different disk of the right size', async () => {
    const path = await copyOf('other-disk', async (recipe, add) => {
      const frame = await add(await otherDelta(recipe));
      return { ...recipe, delta: frame };
    });
    await expectFailure(path, 4, 'error: ');
  });

  /** The delta of the recipe with some other literal in it. */
  async function otherDelta({ delta }: Container): Promise<Buffer> {
    const bytes = zstdDecompressSync(await read(delta));
    const at = bytes.indexOf('platform');
    expect(at).toBeGreaterThan(0);
    bytes.write('PLATFORM', at);
    return zstdCompressSync(bytes);
  }
});
