import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openBundle } from '../../src/bundle/read.ts';
import { readRecipe } from '../../src/codec/recipe-blob.ts';
import type { Arch } from '../../src/core/arch.ts';
import { silent } from '../../src/core/progress/progress.ts';
import { openMetalCache } from '../../src/engine/cache/metal-cache.ts';
import { assembleBase } from '../../src/engine/files/assemble.ts';
import { decodeContents, MAX_LIST_BYTES } from '../../src/engine/files/contents.ts';
import { openIsoSource } from '../../src/engine/files/sources/iso.ts';
import { openRootImageIso } from '../../src/formats/iso/root-image.ts';
import { pushIndex } from '../support/push-index.ts';
import { type RegistryServer, registryServer } from '../support/registry-server.ts';
import { temporaryFolder } from '../support/synthetic-bundle.ts';
import { cli } from './support/cli.ts';
import { fixtureArches, pick } from './support/fixture.ts';
import { sha256sum } from './support/judge.ts';
import {
  copyImage,
  encapsulate,
  manifestIn,
  plainImage,
  type System,
  unpackSystem,
} from './support/os-containers.ts';
import {
  diskImages,
  type IsoLayout,
  isoWithoutOsmets,
  releaseOfDisks,
} from './support/os-release.ts';

/** The fixture's release made without any osmet: from its ISOs, and from containers of the same commit. */
const LAYOUTS: Readonly<Partial<Record<Arch, IsoLayout>>> = { x86_64: 'generic', s390x: 'coreos' };
const ARCHES = (fixtureArches() as Arch[]).filter((arch) => LAYOUTS[arch] !== undefined);
/** Layers of the plain image; most of it is how buildah writes them, so one architecture has many. */
const LAYERS: Readonly<Partial<Record<Arch, number>>> = { x86_64: 50, s390x: 3 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let server: RegistryServer;
const systems = new Map<Arch, System>();
const plain = new Map<Arch, Awaited<ReturnType<typeof plainImage>>>();
const at = (...names: string[]) => join(folder.path, ...names);
const registered = () => `${server.host}/fedora/fedora-coreos:stable`;
const isoOf = (arch: Arch) => at('release', basename(pick('metal', 'iso', 'disk', arch).released));
const common = () => ['--cache-dir', at('cache'), '--quiet'];
const allArches = () => ['--arch', ARCHES.join(',')];

beforeAll(async () => {
  folder = await temporaryFolder();
  server = await registryServer(at('registry'));
  for (const arch of ARCHES) {
    const system = await unpackSystem(arch, at(arch));
    systems.set(arch, system);
    const image = await plainImage(system, at(arch, 'plain'), LAYERS[arch] ?? 1);
    plain.set(arch, image);
    await copyImage(
      `oci:${image.layout}:os`,
      `docker://${server.host}/fedora/fedora-coreos:${arch}`,
    );
  }
  await pushIndex(server.host, 'fedora/fedora-coreos', 'stable', ARCHES);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

async function dehydrate() {
  const selected = Object.fromEntries(ARCHES.map((arch) => [arch, LAYOUTS[arch]]));
  const release = await releaseOfDisks(at('release'), selected);
  return cli([
    ...['dehydrate', ...release, ...allArches(), '-o', at('bundle'), '--iso-external'],
    ...['--container', registered(), ...common()],
  ]);
}

/** Makes images with nothing of earlier runs at hand, and has them hashed by another program. */
async function expectImages(arches: readonly Arch[], platform: string, ...options: string[]) {
  await rm(at('cache'), { recursive: true, force: true });
  await mkdir(at('out'));
  const expected = arches
    .flatMap((arch) => diskImages(arch))
    .filter((one) => platform === 'all' || one.platform === platform);
  // With the ISO, `all` would be the ISO, too.
  const formats = options.includes('--iso')
    ? [...new Set(expected.map(({ format }) => format))].join(',')
    : 'all';
  const made = await cli([
    ...['rehydrate', '--bundle', at('bundle'), '--arch', arches.join(','), '-p', platform],
    ...['-f', formats, '-o', at('out'), ...common(), ...options],
  ]);
  expect(made.exitCode, made.stderr).toBe(0);
  const lines = made.stdout.split('\n').map((line) => line.replace(/ {2}.*\//, '  '));
  expect(lines.sort()).toEqual(expected.map(({ name, sha256 }) => `${sha256}  ${name}`).sort());
  expect((await readdir(at('out'))).sort()).toEqual(expected.map(({ name }) => name).sort());
  for (const { name, sha256 } of expected) {
    expect(await sha256sum(at('out', name)), name).toBe(sha256);
  }
  await rm(at('out'), { recursive: true });
  return made;
}

describe('a release without osmets', () => {
  test('becomes a bundle, though a container lacks some of its files', async () => {
    const made = await dehydrate();
    expect(made.stderr).toBe('');
    expect(made.exitCode).toBe(0);
    const { recipes } = await openBundle(at('bundle'));
    expect(recipes.map(({ architecture }) => architecture).sort()).toEqual([...ARCHES].sort());
    for (const { architecture, files, bases } of recipes) {
      const { deleted = [] } = plain.get(architecture) ?? {};
      expect(files).toMatchObject({ iso: true, containers: [registered()] });
      // What is deleted, and the folders and the commit of the OSTree repository, which plain layers lack.
      expect(files?.lacking.count).toBeGreaterThan(deleted.length / 2);
      expect(files?.lacking.bytes).toBeLessThan(1 << 20);
      for (const base of Object.values(bases)) expect(base?.delta?.size).toBeLessThan(2 << 20);
    }
    const shown = await cli(['inspect', at('bundle')]);
    expect(shown.stdout).toMatch(
      /\d+ files \(.*\) are not in every source, so the deltas hold them/,
    );
  });

  test('every disk image comes from the ISOs', async () => {
    await expectImages(ARCHES, 'all', ...ARCHES.flatMap((arch) => ['--iso', isoOf(arch)]));
  });

  test.each(ARCHES)('the other layout of the ISO of %s gives the same base', async (arch) => {
    const iso = at('other.iso');
    await isoWithoutOsmets(arch, LAYOUTS[arch] === 'generic' ? 'coreos' : 'generic', iso);
    await using cache = await openMetalCache({ dir: at('cache-2'), maxBytes: 2 ** 40 });
    const bundle = await openBundle(at('bundle'));
    const files = bundle.recipes.find(({ architecture }) => architecture === arch)?.files;
    if (files === undefined) expect.unreachable();
    const blob = await bundle.readWholeBlob(files.contents, MAX_LIST_BYTES);
    const { rootImage } = await openRootImageIso(iso);
    const open = async () => openIsoSource({ iso, rootImage, scratch: await cache.scratch() });
    const list = decodeContents(readRecipe(blob, 'list'), 'list');
    const { source } = await assembleBase({
      ...{ list, base: files, sources: [open], cache, progress: silent },
    });
    await source.close();
  });
});

describe('with no ISO on the machine', () => {
  beforeAll(async () => {
    for (const arch of ARCHES) await rm(isoOf(arch), { force: true });
  });

  test('every disk image comes from plain layers in a registry', async () => {
    const x86 = await manifestIn(plain.get('x86_64')?.layout ?? '');
    expect(x86.layers).toHaveLength(51);
    await expectImages(ARCHES, 'all', '--container', registered());
  });

  test('they come from the image that ostree-ext makes of the commit', async () => {
    const system = systems.get('x86_64');
    if (system === undefined) expect.unreachable();
    const layout = at('ostree-ext');
    await encapsulate(system, layout);
    expect((await manifestIn(layout)).layers.length).toBeGreaterThan(10);
    const { stdout } = await copyImage(`oci:${layout}`, `oci-archive:${at('ext.tar')}`);
    expect(stdout).toBe('');
    await rm(system.repo, { recursive: true });
    for (const name of [layout, at('ext.tar')]) {
      const made = await expectImages(['x86_64'], 'metal', '--container', name);
      expect(made.peakRss).toBeLessThan(500 << 20);
    }
  });

  test('they come from archives of plain layers, with zstd too', async () => {
    const from = `oci:${plain.get('x86_64')?.layout}:os`;
    const forms = {
      'docker-archive': [],
      'oci-archive': ['--dest-compress-format', 'zstd', '--dest-compress'],
    } as const;
    for (const [form, options] of Object.entries(forms)) {
      await copyImage(from, `${form}:${at('image.tar')}:os:1`, ...options);
      await expectImages(['x86_64'], 'metal', '--container', at('image.tar'));
      await rm(at('image.tar'));
    }
    await expectImages(['s390x'], 'metal', '--container', plain.get('s390x')?.layout ?? '');
  });

  test('a system of another release is refused, and nothing is left', async () => {
    await mkdir(at('other/etc'), { recursive: true });
    await writeFile(at('other/etc/os-release'), 'ID=other\n');
    await rm(at('cache'), { recursive: true });
    const made = await cli([
      ...['rehydrate', '--bundle', at('bundle'), '--arch', 'x86_64', '-p', 'metal'],
      ...['-o', at('none.raw'), '--container', at('other'), ...common()],
    ]);
    expect(made.exitCode).toBe(5);
    expect(made.stderr).toContain('of the disk');
    await expect(stat(at('none.raw'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
