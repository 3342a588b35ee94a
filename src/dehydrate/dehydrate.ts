import { ARCHITECTURES, type Arch } from '../arch.ts';
import type { Descriptor } from '../bundle/oci.ts';
import type { Recipes } from '../bundle/recipes.ts';
import { createBundleWriter } from '../bundle/write.ts';
import type { MetalCache } from '../cache/metal-cache.ts';
import { closeAll } from '../cache/regenerate.ts';
import type { EngineReport, MetalEngine } from '../engine/engine.ts';
import { UnsupportedError } from '../errors.ts';
import { type Progress, silent } from '../progress.ts';
import { listArtifacts } from '../stream/artifacts.ts';
import { readStream, type Stream } from '../stream/schema.ts';
import { dehydrateArch, type MadeArch } from './arch.ts';
import { allowance } from './failures.ts';
import { isoArtifact } from './iso.ts';
import { addIndex, addManifest } from './manifest.ts';
import { findReleased } from './released.ts';
import { verifyBundle } from './verify.ts';

export interface DehydrateOptions {
  /** Path of the stream JSON. */
  readonly streamPath: string;
  /** Folder with the released files under the names of their locations. */
  readonly folder: string;
  /** Undefined: every architecture of the stream whose ISO is in the folder. */
  readonly arches?: readonly Arch[] | undefined;
  /** Where the bundle goes. */
  readonly target: string;
  /** Name the ISO instead of holding it. */
  readonly isoExternal?: boolean | undefined;
  /** Replace a bundle at the target. */
  readonly force?: boolean | undefined;
  /** Artifacts that may be missing: `qemu`, `metal/4k.raw`… */
  readonly allowMissing?: readonly string[] | undefined;
  readonly engine: MetalEngine;
  /** Receives the regenerated disks, and remembers which ISO an engine made them from. */
  readonly cache: MetalCache;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

export interface DehydrateReport {
  readonly bundle: string;
  readonly architectures: readonly ArchReport[];
}

export interface ArchReport {
  /** As written; every artifact in it was verified by a fresh read of the bundle. */
  readonly recipes: Recipes;
  readonly engine: EngineReport;
}

/**
 * Makes a bundle of a release: regenerates metal by booting the ISO, makes a delta for every other
 * artifact, writes the bundle, and verifies by a fresh read of it that each artifact comes out. All
 * that cannot be covered is found before anything fails; nothing is written unless all of it is
 * allowed to be missing. Deterministic.
 */
export async function dehydrate(options: DehydrateOptions): Promise<DehydrateReport> {
  const { stream, bytes } = await readStream(options.streamPath);
  const arches = await chooseArches(stream, options);
  const { target, force, signal, progress = silent } = options;
  await using writer = await createBundleWriter(target, { force, signal });
  const streamBlob = await writer.addBytes(bytes);
  const lists = arches.map((arch) => ({ arch, artifacts: listArtifacts(stream, arch) }));
  const allowed = allowance(
    options.allowMissing ?? [],
    lists.flatMap(({ artifacts }) => artifacts),
  );
  const { folder, engine, cache, isoExternal = false } = options;
  const context = { folder, engine, cache, isoExternal, writer, allowed, signal, progress };

  const made: MadeArch[] = [];
  try {
    const manifests: Descriptor[] = [];
    for (const { arch, artifacts } of lists) {
      const name = stream.stream;
      const one = await dehydrateArch(arch, artifacts, {
        ...context,
        stream: { name, ...streamBlob },
      });
      made.push(one);
      manifests.push(await addManifest(writer, one.recipes));
    }
    await addIndex(writer, manifests, made[0]?.recipes.release ?? stream.stream);
    const { path } = writer;
    for (const { recipes, metal, isoPath } of made) {
      await verifyBundle({ path, arch: recipes.architecture, metal, isoPath, signal, progress });
    }
  } finally {
    for (const { metal } of made) await closeAll(metal);
  }
  await writer.commit();
  const architectures = made.map(({ recipes, engine: report }) => ({ recipes, engine: report }));
  return { bundle: target, architectures };
}

async function chooseArches(stream: Stream, options: DehydrateOptions): Promise<readonly Arch[]> {
  if (options.arches !== undefined) return options.arches;
  const found: Arch[] = [];
  const absent: Arch[] = [];
  for (const arch of ARCHITECTURES) {
    if (stream.architectures[arch] === undefined) continue;
    const iso = isoArtifact(listArtifacts(stream, arch), arch);
    ((await findReleased(options.folder, iso)) ? found : absent).push(arch);
  }
  if (found.length === 0) {
    throw new UnsupportedError('the artifacts folder has no live ISO of the stream', {
      code: 'FILE_MISSING',
      context: { folder: options.folder, stream: stream.stream },
      hint: 'name the folder with the released files with --artifacts',
    });
  }
  if (absent.length > 0) {
    const message = `left out ${absent.join(', ')}: no ISO in ${options.folder} (see --arch)`;
    options.progress?.({ type: 'note', subject: 'dehydrate', message });
  }
  return found;
}
