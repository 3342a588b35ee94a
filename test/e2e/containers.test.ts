import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RELEASE } from '../../scripts/fixture/release.ts';
import { releasedName, streamMetadata } from '../../scripts/fixture/stream.ts';
import { blobsOf, RECIPES_VERSION, type Recipe, type Recipes } from '../../src/bundle/recipes.ts';
import { createBundleWriter } from '../../src/bundle/write.ts';
import { workerPool } from '../../src/codec/workers/pool.ts';
import { parseArch } from '../../src/core/arch.ts';
import { hashFile } from '../../src/core/io/hash-file.ts';
import { openSource } from '../../src/core/io/source.ts';
import { openMetalCache } from '../../src/engine/cache/metal-cache.ts';
import { indexBase } from '../../src/formats/delta/base-index.ts';
import { isoArtifact, listArtifacts } from '../../src/release/stream/artifacts.ts';
import { decodeStream } from '../../src/release/stream/read.ts';
import { dehydrateArtifact } from '../../src/verbs/dehydrate/artifact.ts';
import { addIndex, addManifest } from '../../src/verbs/dehydrate/manifest.ts';
import type { OpenBase } from '../../src/verbs/dehydrate/open-base.ts';
import { cli } from './support/cli.ts';
import { type CroppedRelease, croppedRelease, KINDS } from './support/cropped-release.ts';
import { fixtureArches, pick } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import { releaseBundle } from './support/release-bundle.ts';

/**
 * Every kind of container with every architecture's bytes, including combinations that no release has. The base
 * is a part of the real disk. The library dehydrates, the built command line rehydrates, sha256sum checks.
 */
describe.each(fixtureArches().map(parseArch))('%s', (arch) => {
  let folder: string;
  let out: string;
  let release: CroppedRelease;
  let made: Awaited<ReturnType<typeof dehydrate>>;

  beforeAll(async () => {
    const { cache: whole } = await releaseBundle();
    const disk = join(whole, 'metal', `${pick('metal', 'raw.xz', 'disk', arch).sha256}.raw`);
    folder = await mkdtemp(resolve('.work/containers-'));
    out = join(folder, 'out');
    release = await croppedRelease(arch, disk, join(folder, 'release'));
    made = await dehydrate();
    const result = await cli([
      ...['--arch', arch, '--platform', 'all', '--bundle', made.bundle, '--iso', release.iso],
      ...['--cache-dir', made.cache, '-o', `${out}/`, '--quiet'],
    ]);
    if (result.exitCode !== 0) throw new Error(result.stderr);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** As the verb does, but without a boot, because the base is not a disk that the ISO promises. */
  async function dehydrate() {
    const image = { platform: 'metal', format: 'iso', role: 'disk', file: release.iso } as const;
    const live = { ...image, sha256: await sha256sum(release.iso) };
    const text = JSON.stringify(streamMetadata(new Map([[arch, [...release.artifacts, live]]])));
    const metadata = decodeStream(Buffer.from(text), 'stream.json');
    const listed = listArtifacts(metadata, arch);
    const { name, location } = isoArtifact(listed, arch);
    const artifacts = listed.filter((artifact) => artifact.name !== name);
    const [bundle, cache] = [join(folder, 'bundle'), join(folder, 'cache')];
    const notes: string[] = [];
    await using pool = workerPool();
    await using writer = await createBundleWriter(bundle);
    await using metal = await openBase('metal', release.metal);
    await using iso = await openBase('iso', release.iso);
    const bases = new Map([metal, iso].map(({ base }) => [base.name, base]));
    const covered = [];
    for (const artifact of artifacts) {
      const context = { folder: join(folder, 'release'), release: RELEASE, bases, writer, pool };
      const progress = (event: { type: string; message?: string }) => {
        if (event.type === 'note') notes.push(`${artifact.platform}: ${event.message}`);
      };
      const subject = artifact.platform;
      covered.push(await dehydrateArtifact(artifact, { ...context, progress, subject }));
    }
    const stream = { name: metadata.stream, ...(await writer.addBytes(Buffer.from(text))) };
    const sum = ({ base: { sha256, size } }: typeof iso) => ({ sha256, size });
    const recipes: Recipes = {
      ...{ schemaVersion: RECIPES_VERSION, architecture: arch, release: RELEASE, stream },
      iso: { name, location, embedded: false, ...sum(iso) },
      bases: { metal: sum(metal) },
      ...{ artifacts: covered, missing: [] },
    };
    await addIndex(writer, [await addManifest(writer, recipes)], RELEASE);
    await writer.commit();
    await using disks = await openMetalCache({ dir: cache, maxBytes: 2 ** 30 });
    const disk = join(await disks.scratch(), 'disk');
    await copyFile(release.metal, disk);
    await (await disks.admit(disk, sum(metal))).close();
    return { bundle, cache, notes, covered };
  }

  test('every container is recognized, and comes back bit for bit', async () => {
    expect(made.notes).toEqual([]);
    expect((await readdir(out)).sort()).toEqual(made.covered.map(({ name }) => name).sort());
    expect(made.covered.length).toBe(KINDS.length);
  });

  test.each(KINDS)('$platform $format comes back', async ({ platform, format }) => {
    const released = release.artifacts.find((one) => one.platform === platform);
    const artifact = made.covered.find((one) => one.platform === platform);
    if (!released || !artifact) throw new Error(`no ${platform}`);
    expect(artifact.released.name).toBe(releasedName(arch, { platform, format, role: 'disk' }));
    const ours = join(out, artifact.name);
    expect(await sha256sum(ours)).toBe(released.uncompressedSha256 ?? released.sha256);
    expect(sizeOf(artifact.recipe)).toBeLessThan(16_384);
  });
});

async function openBase(name: OpenBase['name'], path: string) {
  const source = await openSource(path);
  const digest = await hashFile(path);
  const index = indexBase(source);
  const base: OpenBase = { name, source, ...digest, index: () => index };
  return { base, [Symbol.asyncDispose]: () => source.close() };
}

const sizeOf = (recipe: Recipe) => blobsOf(recipe).reduce((sum, { size }) => sum + size, 0);
