import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { cli, noEngine } from '../../../test/support/cli.ts';
import { sha256Of, temporaryFolder } from '../../../test/support/synthetic-bundle.ts';
import type { RecipeArtifact, Recipes } from '../../bundle/recipes.ts';
import { createBundleWriter } from '../../bundle/write.ts';
import { writeRecipe } from '../../codec/recipe-blob.ts';
import { serializeSplice } from '../../codec/splice/recipe.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import { openSource } from '../../core/io/source.ts';
import { encodeDelta } from '../../formats/delta/encode.ts';
import { addIndex, addManifest } from '../dehydrate/manifest.ts';

const TEBIBYTES = 16 * 2 ** 40;

/** A bundle of a few hundred bytes with an archive of one byte, and zeros without end. */
async function writeHostileBundle(folder: string, zeros: number): Promise<string> {
  const iso = Buffer.from('an ISO');
  const isoPath = join(folder, 'live.iso');
  await writeFile(isoPath, iso);
  const path = join(folder, 'bundle');
  await using writer = await createBundleWriter(path);
  const stream = await writer.addBytes(streamOf(iso));
  await writer.addFile(isoPath);
  await using base = await openSource(isoPath);
  const { blob: delta } = await writer.addStream((sink) =>
    encodeDelta({ base, target: oneByte(), sink }),
  );
  const splice = serializeSplice({
    segments: [
      { kind: 'payload', length: 1 },
      { kind: 'zeros', length: zeros },
    ],
    literals: Buffer.alloc(0),
  });
  const { blob: recipe } = await writer.addStream((sink) => writeRecipe(splice, sink));
  const known = { release: '42.1', attestation: 'sha256', compression: 'none' } as const;
  const size = iso.length;
  const artifacts: RecipeArtifact[] = [
    {
      ...{ platform: 'metal', format: 'iso', file: 'disk', ...known, container: 'iso' },
      ...{ name: 'live.iso', size, sha256: sha256Of(iso), recipe: { kind: 'iso' } },
      released: { name: 'live.iso', location: 'live.iso', sha256: sha256Of(iso), size },
    },
    {
      ...{ platform: 'gcp', format: 'tar', file: 'disk', ...known, container: 'tar' },
      ...{ name: 'gcp.tar', size: zeros + 1, sha256: FAKE },
      released: { name: 'gcp.tar', location: 'gcp.tar', sha256: FAKE },
      recipe: {
        ...{ kind: 'container', base: 'iso', delta, payload: { size: 1 } },
        layers: [{ codec: 'splice', requires: [], recipe }],
      },
    },
  ];
  const recipes: Recipes = {
    schemaVersion: 2,
    architecture: 'x86_64',
    release: '42.1',
    stream: { name: 'test', ...stream },
    iso: { name: 'live.iso', location: 'live.iso', sha256: sha256Of(iso), size, embedded: true },
    bases: {},
    artifacts,
    missing: [],
  };
  await addIndex(writer, [await addManifest(writer, recipes)], recipes.release);
  await writer.commit();
  return path;
}

async function* oneByte() {
  yield Buffer.from('a');
}

const FAKE = sha256Of(Buffer.from('gcp'));

function streamOf(iso: Buffer): Buffer {
  const file = (name: string, sha256: string) => ({ disk: { location: name, sha256 } });
  const artifacts = {
    metal: { release: '42.1', formats: { iso: file('live.iso', sha256Of(iso)) } },
    gcp: { release: '42.1', formats: { tar: file('gcp.tar', FAKE) } },
  };
  return Buffer.from(JSON.stringify({ stream: 'test', architectures: { x86_64: { artifacts } } }));
}

test('16 TiB of zeros in a recipe of some bytes are refused before any work', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeHostileBundle(folder.path, TEBIBYTES);
  const out = join(folder.path, 'out');
  const started = performance.now();
  const argv = ['--bundle', bundle, '--platform', 'all', '-o', out, '--no-cache'];
  const { code, stderr } = await cli(argv, { createEngine: () => noEngine });
  expect(stderr).toContain('[SIZE_LIMIT]');
  expect(stderr).toContain('ISO_REHYDRATE_MAX_SIZE');
  expect(code).toBe(5);
  // The other artifact is made.
  expect(await readdir(out)).toEqual(['live.iso']);
  expect(performance.now() - started).toBeLessThan(30_000);
});

test('the limit is an environment variable', async () => {
  await using folder = await temporaryFolder();
  const bundle = await writeHostileBundle(folder.path, 1 << 20);
  const argv = ['--bundle', bundle, '-p', 'gcp', '-o', '-', '--no-cache'];
  const small = await cli(argv, { env: { ISO_REHYDRATE_MAX_SIZE: '512KiB' } });
  expect(small.stderr).toContain('[SIZE_LIMIT]');
  // Its SHA-256 is wrong, which is another matter.
  expect((await cli(argv)).code).toBe(4);
  const bad = await cli(argv, { env: { ISO_REHYDRATE_MAX_SIZE: 'much' } });
  expect(bad).toMatchObject({ code: 2, stderr: expect.stringContaining('[SIZE_BAD]') });
});

test('a file that its file system cannot hold is refused before it is written', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'x');
  let began = false;
  const body = async () => {
    began = true;
  };
  const huge = writeAtomically(path, body, { size: Number.MAX_SAFE_INTEGER });
  await expect(huge).rejects.toMatchObject({ kind: 'io' });
  const dense = writeAtomically(path, body, { allocates: 2 ** 60 });
  await expect(dense).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect(began).toBe(false);
  expect(await readdir(folder.path)).toEqual([]);
});

test('a gzip bomb of the release is not unpacked for ever', async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'bomb.gz');
  await execa('sh', ['-c', 'head -c 8M /dev/zero | gzip -1 >"$0"', path]);
  const { readReleased } = await import('../../release/files/released.ts');
  const { limitSizes } = await import('../../core/plausible.ts');
  limitSizes(1 << 20);
  try {
    const read = async () => {
      for await (const _chunk of readReleased({ path, compression: 'gz' }).target);
    };
    await expect(read()).rejects.toMatchObject({ code: 'SIZE_LIMIT' });
  } finally {
    limitSizes(undefined);
  }
});
