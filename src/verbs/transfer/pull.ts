import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { blobPath } from '../../bundle/blobs.ts';
import { ANNOTATION_REF_NAME, BUNDLE_TYPE, RECIPES_TYPE } from '../../bundle/media-types.ts';
import { isBundle, openBundle } from '../../bundle/read.ts';
import type { Selection } from '../../bundle/select.ts';
import { blobsFor } from '../../bundle/work.ts';
import type { Arch } from '../../core/arch.ts';
import { FormatError, throwIfAborted, UsageError } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import type { BlobRef, Sha256 } from '../../core/io/digest.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../formats/oci/media-types.ts';
import {
  type Descriptor,
  decodeIndex,
  decodeManifest,
  digestHex,
  encodeIndex,
  encodeLayout,
} from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';
import { choosePart } from './part.ts';
import { type Transfer, titleOf } from './push.ts';

export interface PullOptions {
  readonly registry: Registry;
  /** Tag, or `sha256:…`. */
  readonly reference: string;
  readonly target: string;
  readonly arches: readonly Arch[] | 'all';
  readonly selection: Selection;
  /** Leave ISOs out: the user has them. */
  readonly withoutIso?: boolean | undefined;
  /** Replace another bundle at the target. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/**
 * Pulls a bundle, or as much of it as some artifacts need: all manifests and recipes, which are small,
 * and the blobs on the way to those artifacts. The index stays the same, and so does its digest. What is
 * there already is kept, if it is right: a pull that broke off goes on, and another one adds to it. Throws
 * UsageError `BUNDLE_EXISTS` if there is another bundle, FormatError if what is pulled is no bundle.
 */
export async function pull(options: PullOptions): Promise<Transfer> {
  const { registry, reference, target, arches, selection, withoutIso = false } = options;
  const { bytes: top, sha256: digest } = await registry.manifest(reference);
  await prepare(target, digest, options.force ?? false);
  const manifests = await pullManifests(top, digest, options);
  await writeBlob(target, digest, top);
  const tag = reference.startsWith('sha256:') ? undefined : reference;
  const entry: Descriptor = {
    mediaType: manifests.isIndex ? OCI_INDEX : OCI_MANIFEST,
    digest: `sha256:${digest}`,
    size: top.length,
    artifactType: BUNDLE_TYPE,
    ...(tag === undefined ? {} : { annotations: { [ANNOTATION_REF_NAME]: tag } }),
  };
  // A folder that can be opened tells what it may need; without blobs it makes nothing wrong.
  await writeFileAt(join(target, 'index.json'), encodeIndex({ manifests: [entry] }));
  await writeFileAt(join(target, 'oci-layout'), encodeLayout());
  const bundle = await openBundle(target);
  const work = choosePart({ bundle, arches, selection }, options.progress ?? silent);
  const isos = new Set<string>(bundle.recipes.map(({ iso }) => iso.sha256));
  const wanted = new Map<string, BlobRef>();
  for (const { recipes } of work) wanted.set(recipes.stream.sha256, recipes.stream);
  for (const blob of blobsFor(work)) {
    if (!withoutIso || !isos.has(blob.sha256)) wanted.set(blob.sha256, blob);
  }
  const names = new Map(
    manifests.layers.map((layer) => [digestHex(layer) as string, titleOf(layer)]),
  );
  const got = await pullBlobs([...wanted.values()], names, options);
  return { digest, ...got };
}

async function pullBlobs(
  blobs: readonly BlobRef[],
  names: ReadonlyMap<string, string | undefined>,
  { registry, target, signal, progress = silent }: PullOptions,
): Promise<Omit<Transfer, 'digest'>> {
  const got = { blobs: 0, bytes: 0, present: 0 };
  for (const blob of blobs) {
    throwIfAborted(signal);
    const path = blobPath(target, blob.sha256);
    if (await isThere(path, blob, signal)) {
      got.present++;
      continue;
    }
    const subject = names.get(blob.sha256) ?? blob.sha256.slice(0, 12);
    await step(progress, { subject, phase: 'fetch', total: blob.size }, (onBytes) =>
      registry.fetchBlob(blob, path, onBytes),
    );
    got.blobs++;
    got.bytes += blob.size;
  }
  return got;
}

/** Nothing is replaced unasked but a pull of the very same, finished or not. */
async function prepare(target: string, digest: Sha256, force: boolean): Promise<void> {
  const index = await readFile(join(target, 'index.json'), 'utf8').catch(() => undefined);
  const other = index !== undefined && !index.includes(digest);
  if (other && !force) {
    throw new UsageError(`there is another bundle at ${target}`, {
      code: 'BUNDLE_EXISTS',
      context: { target },
      hint: 'choose another -o, or replace it with --force',
    });
  }
  try {
    if (other && (await isBundle(target))) await rm(target, { recursive: true });
    await mkdir(join(target, 'blobs', 'sha256'), { recursive: true });
  } catch (error) {
    throw osError(error, 'write to', target);
  }
}

async function pullManifests(top: Buffer, digest: Sha256, options: PullOptions) {
  const { registry, target, reference } = options;
  const isIndex = /"mediaType"\s*:\s*"application\/vnd\.oci\.image\.index/.test(top.toString());
  const source = `manifest sha256:${digest}`;
  const descriptors = isIndex
    ? decodeIndex(top, source).manifests.filter(({ mediaType }) => mediaType === OCI_MANIFEST)
    : undefined;
  const layers: Descriptor[] = [];
  const take = async (bytes: Buffer) => {
    const { config, layers: own } = decodeManifest(bytes, source);
    if (config.mediaType !== RECIPES_TYPE) return;
    const blob = { sha256: digestHex(config), size: config.size };
    await writeBlob(target, blob.sha256, await registry.smallBlob(blob));
    layers.push(...own);
  };
  if (descriptors === undefined) await take(top);
  for (const descriptor of descriptors ?? []) {
    const { bytes, sha256 } = await registry.manifest(descriptor.digest);
    await writeBlob(target, sha256, bytes);
    await take(bytes);
  }
  if (layers.length > 0) return { isIndex, layers };
  throw new FormatError(`${reference} is not a bundle of iso-rehydrate`, {
    code: 'NO_RECIPES',
    context: { digest: `sha256:${digest}` },
    hint: 'check the reference',
  });
}

async function isThere(path: string, blob: BlobRef, signal?: AbortSignal): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (found?.size !== blob.size) return false;
  return (await hashFile(path, { signal })).sha256 === blob.sha256;
}

const writeBlob = (target: string, sha256: Sha256, bytes: Uint8Array) =>
  writeFileAt(blobPath(target, sha256), bytes);

const writeFileAt = (path: string, bytes: Uint8Array) =>
  writeAtomically(path, (sink) => sink.write(bytes));
