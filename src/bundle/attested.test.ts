import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli } from '../../test/support/cli.ts';
import {
  noise,
  sha256Of,
  temporaryFolder,
  writeSyntheticBundle,
} from '../../test/support/synthetic-bundle.ts';
import { type Documents, documentsOf, forgeDocument } from '../../test/support/tamper.ts';
import { openBundle } from './read.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let good: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  good = (await writeSyntheticBundle(folder.path, { arches: ['x86_64', 's390x'] })).path;
});
afterAll(() => folder[Symbol.asyncDispose]());

let count = 0;
/** A copy of the bundle with documents replaced, and every digest corrected as a forger would. */
async function forged(
  which: keyof Documents,
  // biome-ignore lint/suspicious/noExplicitAny: whatever JSON is there
  change: (json: any) => void,
): Promise<string> {
  const copy = join(folder.path, `forged-${count++}`);
  await execa('cp', ['-a', good, copy]);
  await forgeDocument(copy, which, change);
  return copy;
}

const EVIL = sha256Of(noise(3, 'evil'));
// biome-ignore lint/suspicious/noExplicitAny: whatever JSON is there
type Json = any;
const qemuOf = ({ artifacts }: Json) => artifacts.find(({ platform }: Json) => platform === 'qemu');
const metalOf = ({ artifacts }: Json) => artifacts.find(({ name }: Json) => name === 'metal.raw');
const inStream = ({ architectures }: Json) =>
  architectures.x86_64.artifacts.qemu.formats['qcow2.xz'].disk;

describe('a bundle is refused if its documents contradict each other', () => {
  const recipes: Record<string, (json: Json) => void> = {
    'digest of a target': (json) => Object.assign(qemuOf(json), { sha256: EVIL }),
    'digest of a released file': (json) => Object.assign(qemuOf(json).released, { sha256: EVIL }),
    'name of a released file': (json) => Object.assign(qemuOf(json).released, { name: 'y.xz' }),
    location: (json) => Object.assign(qemuOf(json).released, { location: 'https://evil/q.xz' }),
    'name of a target': (json) => Object.assign(qemuOf(json), { name: 'evil.qcow2' }),
    'release of a target': (json) => Object.assign(qemuOf(json), { release: '42.2' }),
    'release of all': (json) => {
      json.release = '42.2';
      for (const artifact of json.artifacts) artifact.release = '42.2';
    },
    'own digest for one that the stream has': (json) =>
      Object.assign(qemuOf(json), { attestation: 'computed', sha256: EVIL }),
    'another attestation of the same digest': (json) =>
      Object.assign(qemuOf(json), { attestation: 'computed' }),
    'digest taken for that of the released file': (json) =>
      Object.assign(qemuOf(json), { attestation: 'sha256' }),
    compression: (json) => Object.assign(qemuOf(json), { compression: 'none' }),
    platform: (json) => Object.assign(qemuOf(json), { platform: 'openstack' }),
    'two exchanged targets': (json) => {
      const [one, two] = json.artifacts.filter(({ format }: Json) => format === 'pxe');
      [one.file, two.file] = [two.file, one.file];
    },
    'an artifact more': (json) => json.artifacts.push({ ...qemuOf(json), platform: 'evil' }),
    'name of the ISO': (json) => Object.assign(json.iso, { name: 'evil.iso' }),
    'location of the ISO': (json) => Object.assign(json.iso, { location: 'https://evil/live.iso' }),
    'the ISO': (json) => {
      json.iso.sha256 = EVIL;
      json.iso.embedded = false;
      json.artifacts = json.artifacts.filter(({ recipe }: Json) => recipe.kind !== 'iso');
    },
    'the metal disk, and the artifact that it is': (json) => {
      json.bases.metal.sha256 = EVIL;
      metalOf(json).sha256 = EVIL;
    },
    'the metal disk, without the artifact that it is': (json) => {
      json.bases.metal.sha256 = EVIL;
      json.artifacts = json.artifacts.filter(({ name }: Json) => name !== 'metal.raw');
    },
    'something missing that never was': (json) =>
      json.missing.push({ ...json.missing[0], platform: 'gcp' }),
    'release of something missing': (json) => Object.assign(json.missing[0], { release: '1' }),
    'name of something missing': (json) => Object.assign(json.missing[0], { name: 'evil' }),
    'name of the stream': (json) => Object.assign(json.stream, { name: 'next' }),
  };
  const stream: Record<string, (json: Json) => void> = {
    'digest of a target': (json) => Object.assign(inStream(json), { 'uncompressed-sha256': EVIL }),
    'digest of a released file': (json) => Object.assign(inStream(json), { sha256: EVIL }),
    location: (json) => Object.assign(inStream(json), { location: 'https://evil/qemu.qcow2.xz' }),
    'attested less': (json) => delete inStream(json)['uncompressed-sha256'],
    'release of a platform': (json) =>
      Object.assign(json.architectures.x86_64.artifacts.qemu, { release: '9' }),
    'without the artifact': (json) => delete json.architectures.x86_64.artifacts.qemu,
    'without the architecture': (json) => delete json.architectures.s390x,
    'name of the stream': (json) => Object.assign(json, { stream: 'next' }),
  };
  const manifest: Record<string, (json: Json) => void> = {
    'title of a layer': (json) =>
      Object.assign(json.layers[0].annotations, { 'org.opencontainers.image.title': 'x' }),
    'platform of a layer': (json) =>
      Object.assign(json.layers.at(-1).annotations, { 'io.github.iso-rehydrate.platform': 'aws' }),
    'annotations of two layers exchanged': ({ layers }) => {
      [layers[2].annotations, layers[3].annotations] = [
        layers[3].annotations,
        layers[2].annotations,
      ];
    },
    'type of a layer': ({ layers }) => Object.assign(layers[2], { mediaType: layers[0].mediaType }),
    'a layer twice, differently': ({ layers }) =>
      layers.push({ ...layers[2], mediaType: layers[0].mediaType }),
    'a second ISO': ({ layers }) => layers.push({ ...layers[0], digest: `sha256:${EVIL}` }),
    'release of all': ({ annotations }) =>
      Object.assign(annotations, { 'org.opencontainers.image.version': '1' }),
    title: ({ annotations }) =>
      Object.assign(annotations, { 'org.opencontainers.image.title': 'next 1 x86_64' }),
  };
  const index: Record<string, (json: Json) => void> = {
    'architectures exchanged': ({ manifests }) => {
      [manifests[0].platform, manifests[1].platform] = [
        manifests[1].platform,
        manifests[0].platform,
      ];
    },
    'architecture of a manifest': ({ manifests }) =>
      Object.assign(manifests[0].platform, { architecture: 'arm64' }),
    'release of a manifest': ({ manifests }) =>
      Object.assign(manifests[0].annotations, { 'org.opencontainers.image.version': '1' }),
  };
  const cases = Object.entries({ recipes, stream, manifest, index }).flatMap(([which, changes]) =>
    Object.entries(changes).map(([name, change]) => [which, name, change] as const),
  );
  test.each(cases)('%s: %s', async (which, _name, change) => {
    const path = await forged(which as keyof Documents, change);
    await expect(openBundle(path)).rejects.toMatchObject({
      kind: 'integrity',
      code: expect.stringMatching(/^(STREAM|MANIFEST)_DIFFERS$/),
      hint: expect.stringContaining('signature'),
    });
  });
});

test('a manifest of the other architecture, taken twice', async () => {
  const path = await forged('index', ({ manifests }) => {
    manifests[0] = { ...manifests[1], platform: manifests[0].platform };
  });
  await expect(openBundle(path)).rejects.toMatchObject({ code: 'MANIFEST_DIFFERS' });
});

test('tools may drop annotations and platforms', async () => {
  const path = await forged('index', ({ manifests }) => {
    for (const one of manifests) {
      delete one.platform;
      delete one.annotations;
    }
  });
  await openBundle(path);
});

test('artifacts in neither the recipes nor the list of missing ones are reported', async () => {
  const path = await forged('recipes', (json) => {
    json.artifacts = json.artifacts.filter(({ platform }: Json) => platform !== 'qemu');
    json.missing = [];
    json.iso.embedded = true;
  });
  // The layer that belonged to it cannot stay.
  await expect(openBundle(path)).rejects.toMatchObject({ code: 'MANIFEST_DIFFERS' });
  const { manifest } = await documentsOf(path);
  await forgeDocument(path, 'manifest', (json) => {
    json.layers = manifest.json.layers.slice(0, -1);
  });
  const { unlisted } = await openBundle(path);
  expect(unlisted.get('x86_64')?.map(({ platform }) => platform)).toEqual(['aws', 'qemu']);
  expect(unlisted.get('s390x')).toEqual([]);
});

test('every verb refuses it', async () => {
  const path = await forged('recipes', (json) => Object.assign(qemuOf(json), { sha256: EVIL }));
  const out = join(folder.path, 'out');
  const argvs = [
    ['-b', path, '-p', 'metal', '-f', 'pxe', '-o', `${out}/`, '--no-cache'],
    ['audit', '-b', path, '--report', join(out, 'report'), '--no-cache'],
    ['inspect', path],
    ['stream', '-b', path],
    ['serve', '-b', path, '--listen', '127.0.0.1:0', '--images', join(out, 'images')],
    ['push', '-b', path, '127.0.0.1:1/x:1'],
  ];
  for (const argv of argvs) {
    const { code, stderr } = await cli([...argv], { signal: AbortSignal.timeout(60_000) });
    expect(stderr, argv[0]).toContain('STREAM_DIFFERS');
    expect(code).toBe(4);
  }
});
