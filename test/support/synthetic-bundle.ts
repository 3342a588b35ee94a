import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecipeArtifact, Recipes } from '../../src/bundle/recipes.ts';
import { createBundleWriter } from '../../src/bundle/write.ts';
import type { Arch } from '../../src/core/arch.ts';
import type { Sha256 } from '../../src/core/io/digest.ts';
import { openSource } from '../../src/core/io/source.ts';
import { encodeDelta } from '../../src/formats/delta/encode.ts';
import type { Descriptor } from '../../src/formats/oci/oci.ts';
import { addIndex, addManifest } from '../../src/verbs/dehydrate/manifest.ts';
import type { Artifacts } from './synthetic-release.ts';

/** A temporary folder that is removed at the end of its scope. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'iso-rehydrate-test-'));
  return {
    path,
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
    },
  };
}

export function sha256Of(bytes: Uint8Array): Sha256 {
  return createHash('sha256').update(bytes).digest('hex') as Sha256;
}

/** Incompressible bytes, the same for the same seed. */
export function noise(length: number, seed: string): Buffer {
  const parts: Buffer[] = [];
  for (let block = 0; parts.length * 32 < length; block++) {
    parts.push(createHash('sha256').update(`${seed} ${block}`).digest());
  }
  return Buffer.concat(parts).subarray(0, length);
}

export interface SyntheticBundle {
  readonly path: string;
  readonly iso: Buffer;
  readonly metal: Buffer;
  readonly targets: ReadonlyMap<string, Buffer>;
  readonly recipes: Recipes;
}

export interface SyntheticOptions {
  readonly embedded?: boolean;
  readonly force?: boolean;
  /** Another text in the image of `qemu`, as an attacker would put there. */
  readonly qemu?: string;
  /** Each has the same artifacts under the same names. */
  readonly arches?: readonly Arch[];
  /** Architectures of the stream, if it has more than the bundle. */
  readonly streamArches?: readonly Arch[];
}

/**
 * A real bundle, written by the code that dehydrate uses, with an ISO of noise: everything that needs no
 * boot works with it. `qemu` comes from metal, the PXE files from the ISO.
 */
export async function writeSyntheticBundle(
  folder: string,
  {
    embedded = true,
    force = false,
    arches = ['x86_64'],
    qemu: text = 'qemu',
    streamArches = arches,
  }: SyntheticOptions = {},
): Promise<SyntheticBundle> {
  const iso = noise(300_000, 'iso');
  const metal = Buffer.concat([
    noise(200_000, 'metal'),
    Buffer.alloc(300_000),
    noise(12_000, 'm2'),
  ]);
  const targets = new Map<string, Buffer>([
    ['pxe/kernel', iso.subarray(2048, 90_000)],
    ['pxe/initramfs', Buffer.concat([iso.subarray(100_000, 250_000), Buffer.from('trailer')])],
    [
      'qemu',
      Buffer.concat([
        metal.subarray(0, 70_000),
        Buffer.from(text),
        metal.subarray(70_000 + text.length),
      ]),
    ],
  ]);
  await writeFile(join(folder, 'live.iso'), iso);
  await writeFile(join(folder, 'metal.raw'), metal);
  const path = join(folder, 'bundle');
  await using writer = await createBundleWriter(path, { force });
  const isoBlob = { sha256: sha256Of(iso), size: iso.length };
  if (embedded) await writer.addFile(join(folder, 'live.iso'));

  const delta = async (base: 'iso' | 'metal', target: Buffer) => {
    await using source = await openSource(join(folder, base === 'iso' ? 'live.iso' : 'metal.raw'));
    const { blob } = await writer.addStream((sink) =>
      encodeDelta({ base: source, target: chunksOf(target), sink }),
    );
    return { kind: 'delta', base, delta: blob } as const;
  };
  const artifacts: RecipeArtifact[] = [
    describe('metal', 'iso', 'disk', 'live.iso', iso, { kind: 'iso' }),
  ];
  for (const role of ['kernel', 'initramfs'] as const) {
    const bytes = targets.get(`pxe/${role}`) ?? iso;
    const recipe = await delta('iso', bytes);
    artifacts.push(describe('metal', 'pxe', role, `live-${role}`, bytes, recipe));
  }
  const raw = { kind: 'base', base: 'metal' } as const;
  artifacts.push(describe('metal', 'raw.xz', 'disk', 'metal.raw', metal, raw));
  const qemu = targets.get('qemu') ?? metal;
  const recipe = await delta('metal', qemu);
  artifacts.push(describe('qemu', 'qcow2.xz', 'disk', 'qemu.qcow2', qemu, recipe));

  const [architecture = 'x86_64'] = arches;
  const stream = await writer.addBytes(
    Buffer.from(JSON.stringify(streamOf(artifacts, streamArches))),
  );
  const recipes: Recipes = {
    schemaVersion: 2,
    architecture,
    release: '42.1',
    stream: { name: 'test', ...stream },
    iso: { name: 'live.iso', location: 'https://example.com/live.iso', ...isoBlob, embedded },
    bases: { metal: { sha256: sha256Of(metal), size: metal.length } },
    artifacts,
    missing: [
      {
        platform: 'aws',
        format: 'vmdk.xz',
        file: 'disk',
        release: '42.1',
        name: 'aws.vmdk',
        reason: 'its file aws.vmdk.xz is not among the artifacts',
      },
    ],
  };
  const manifests: Descriptor[] = [];
  for (const arch of arches) {
    manifests.push(await addManifest(writer, { ...recipes, architecture: arch }));
  }
  await addIndex(writer, manifests, recipes.release);
  await writer.commit();
  return { path, iso, metal, targets, recipes };
}

/** The stream of these artifacts and of `aws`, which the bundle does not cover. */
function streamOf(artifacts: readonly RecipeArtifact[], arches: readonly Arch[]) {
  const platforms: Artifacts = {
    aws: {
      release: '42.1',
      formats: {
        'vmdk.xz': {
          disk: {
            location: 'https://example.com/aws.vmdk.xz',
            sha256: sha256Of(Buffer.from('aws')),
            'uncompressed-sha256': sha256Of(Buffer.from('aws disk')),
          },
        },
      },
    },
  };
  for (const { platform, release, format, file, released, sha256, compression } of artifacts) {
    platforms[platform] ??= { release, formats: {} };
    const { formats } = platforms[platform];
    const attested = compression === 'none' ? {} : { 'uncompressed-sha256': sha256 };
    const { location, sha256: releasedSha256 } = released;
    formats[format] = {
      ...formats[format],
      [file]: { location, sha256: releasedSha256, ...attested },
    };
  }
  const architectures = arches.map((arch) => [arch, { artifacts: platforms }]);
  return { stream: 'test', architectures: Object.fromEntries(architectures) };
}

function describe(
  platform: string,
  format: string,
  file: RecipeArtifact['file'],
  name: string,
  bytes: Buffer,
  recipe: RecipeArtifact['recipe'],
): RecipeArtifact {
  const sha256 = sha256Of(bytes);
  const released = format.endsWith('.xz') ? `${name}.xz` : name;
  return {
    platform,
    format,
    file,
    release: '42.1',
    name,
    size: bytes.length,
    sha256,
    attestation: format.endsWith('.xz') ? 'uncompressed-sha256' : 'sha256',
    compression: format.endsWith('.xz') ? 'xz' : 'none',
    container: 'opaque',
    released: {
      name: released,
      location: `https://example.com/${released}`,
      sha256, // the compressed file does not exist
      size: bytes.length,
    },
    recipe,
  };
}

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
