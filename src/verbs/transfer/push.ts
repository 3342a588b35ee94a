import { metalOf } from '../../bundle/attested.ts';
import { blobPath, checkBlob, readJsonBlob } from '../../bundle/blobs.ts';
import { encodeArchManifest } from '../../bundle/manifest.ts';
import { ANNOTATION_TITLE } from '../../bundle/media-types.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import type { Selection } from '../../bundle/select.ts';
import type { ArchWork } from '../../bundle/work.ts';
import { type Arch, OCI_ARCHITECTURE } from '../../core/arch.ts';
import { throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import { type BlobRef, type Sha256, sha256Of } from '../../core/io/digest.ts';
import { lookAt } from '../../core/io/presence.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../formats/oci/media-types.ts';
import {
  type Descriptor,
  decodeIndex,
  decodeManifest,
  digestHex,
  encodeIndex,
} from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';
import { contentOfBytes, contentOfFile } from '../../registry/upload.ts';
import { mergeIntoTag } from './merge-tag.ts';
import { choosePart } from './part.ts';

export interface PushOptions {
  readonly bundle: Bundle;
  readonly registry: Registry;
  /** The tag, or undefined to push by digest only. */
  readonly tag: string | undefined;
  /** Only these architectures, and only the selected artifacts; the index then has another digest. */
  readonly arches: readonly Arch[] | 'all';
  readonly selection: Selection;
  /** Keep the other architectures under the tag. */
  readonly merge?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** Counts of the blobs that were sent and of those that were already there. */
export interface Transfer {
  /** Digest of the index, which is the one to sign. */
  readonly digest: Sha256;
  readonly blobs: number;
  readonly bytes: number;
  readonly present: number;
}

/**
 * Pushes a bundle, or the part that some artifacts need: blobs first, then manifests, then the index, so
 * that a partial bundle is never visible. Blobs that the registry has are not sent. The registry checks
 * digests and refuses damaged blobs; a missing blob is an IntegrityError.
 */
export async function push(options: PushOptions): Promise<Transfer> {
  const { registry, tag, signal } = options;
  const { parts, indexBytes } = await choose(options);
  let blobs = 0;
  let bytes = 0;
  let present = 0;
  for (const part of parts) {
    const { config, layers } = decodeManifest(part.manifest, part.descriptor.digest);
    for (const blob of [config, ...layers]) {
      throwIfAborted(signal);
      if (await registry.hasBlob(refOf(blob))) {
        present++;
        continue;
      }
      await pushBlob(blob, blob === config ? part.config : undefined, options);
      blobs++;
      bytes += blob.size;
    }
    await registry.pushManifest(part.descriptor.digest, part.manifest, OCI_MANIFEST);
  }
  const digest =
    options.merge === true && tag !== undefined
      ? await mergeIntoTag(
          parts.map(({ descriptor }) => descriptor),
          indexBytes,
          { ...options, tag },
        )
      : await pushIndex(indexBytes, options);
  return { digest, blobs, bytes, present };
}

async function pushIndex(
  bytes: Buffer,
  { registry, tag }: Pick<PushOptions, 'registry' | 'tag'>,
): Promise<Sha256> {
  const digest = sha256Of(bytes);
  await registry.pushManifest(tag ?? `sha256:${digest}`, bytes, OCI_INDEX);
  return digest;
}

async function pushBlob(
  descriptor: Descriptor,
  bytes: Buffer | undefined,
  { bundle, registry, progress = silent }: PushOptions,
): Promise<void> {
  const blob = refOf(descriptor);
  const content = bytes ? contentOfBytes(bytes) : contentOfFile(await checkBlob(bundle.path, blob));
  const subject = titleOf(descriptor) ?? blob.sha256.slice(0, 12);
  await step(progress, { subject, phase: 'push', total: blob.size }, (onBytes) =>
    registry.pushBlob(blob, content, onBytes),
  );
}

/** The entry of the index for one architecture, with its blobs. */
interface Part {
  readonly descriptor: Descriptor;
  readonly manifest: Buffer;
  /** Recipes that differ from the bundle's. */
  readonly config?: Buffer;
}

/**
 * The bundle's index and manifests unchanged, or the requested part of them. A registry accepts a manifest
 * only with all its blobs, so for a part the manifest is rewritten; `pull` needs no such rule and leaves
 * them as they were signed.
 */
async function choose(options: PushOptions): Promise<{ parts: Part[]; indexBytes: Buffer }> {
  const { bundle, arches, selection, progress = silent } = options;
  const indexBytes = await indexOf(bundle);
  const { manifests, artifactType, annotations } = decodeIndex(
    indexBytes,
    `sha256:${bundle.digest}`,
  );
  const work = new Map(
    choosePart({ bundle, arches, selection }, progress).map((one) => [
      OCI_ARCHITECTURE[one.recipes.architecture] as string,
      one,
    ]),
  );
  const isAll = bundle.recipes.every(({ architecture, artifacts, missing }) => {
    const wanted = work.get(OCI_ARCHITECTURE[architecture]);
    return wanted ? isWhole(wanted) : artifacts.length + missing.length === 0;
  });
  const parts: Part[] = [];
  for (const descriptor of manifests) {
    const wanted = work.get(descriptor.platform?.architecture ?? '');
    if (isAll || (wanted && isWhole(wanted))) {
      parts.push({ descriptor, manifest: await readJsonBlob(bundle.path, refOf(descriptor)) });
    } else if (wanted) {
      parts.push(encodeArchManifest(partOf(wanted)));
    }
  }
  if (isAll) return { parts, indexBytes };
  const made = encodeIndex({
    manifests: parts.map(({ descriptor }) => descriptor),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  });
  return { parts, indexBytes: made };
}

/**
 * A metal disk that is missing because the ISO gives another stays listed, because that explains why they
 * differ.
 */
function partOf({ recipes, artifacts, uncovered }: ArchWork): Recipes {
  const missing = recipes.missing.filter((one) => {
    const variant = metalOf(one);
    return uncovered.includes(one) || (variant !== undefined && recipes.bases[variant]);
  });
  return { ...recipes, artifacts, missing };
}

const isWhole = ({ recipes, artifacts, uncovered }: ArchWork) =>
  artifacts.length === recipes.artifacts.length && uncovered.length === recipes.missing.length;

async function indexOf(bundle: Bundle): Promise<Buffer> {
  const size = (await lookAt(blobPath(bundle.path, bundle.digest)))?.size;
  if (size !== undefined) return readJsonBlob(bundle.path, { sha256: bundle.digest, size });
  throw new UnsupportedError('the bundle has no index over its architectures', {
    code: 'BUNDLE_INDEX',
    context: { bundle: bundle.path },
    hint: 'push the bundle as dehydrate wrote it, or copy it with oras',
  });
}

/** The name of a layer in messages. */
export const titleOf = ({ annotations }: Descriptor) => annotations?.[ANNOTATION_TITLE];

const refOf = (descriptor: Descriptor): BlobRef => ({
  sha256: digestHex(descriptor),
  size: descriptor.size,
});
