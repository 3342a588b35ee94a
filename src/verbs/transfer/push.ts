import { stat } from 'node:fs/promises';
import { blobPath, checkBlob, readJsonBlob } from '../../bundle/blobs.ts';
import { encodeArchManifest } from '../../bundle/manifest.ts';
import { ANNOTATION_TITLE } from '../../bundle/media-types.ts';
import type { Bundle } from '../../bundle/read.ts';
import type { Selection } from '../../bundle/select.ts';
import type { ArchWork } from '../../bundle/work.ts';
import { type Arch, OCI_ARCHITECTURE } from '../../core/arch.ts';
import { throwIfAborted, UnsupportedError } from '../../core/errors.ts';
import { type BlobRef, type Sha256, sha256Of } from '../../core/io/digest.ts';
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
import { choosePart } from './part.ts';

export interface PushOptions {
  readonly bundle: Bundle;
  readonly registry: Registry;
  /** Where it goes: a tag, or undefined for its digest alone. */
  readonly tag: string | undefined;
  /** Only these, and of them only what is selected; the index then has a digest of its own. */
  readonly arches: readonly Arch[] | 'all';
  readonly selection: Selection;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/** What went over the wire, and what was there already. */
export interface Transfer {
  /** Of the index, which is what to sign. */
  readonly digest: Sha256;
  readonly blobs: number;
  readonly bytes: number;
  readonly present: number;
}

/**
 * Pushes a bundle, or as much of it as some artifacts need: blobs first, then manifests, then the index, so
 * that nobody ever sees half of it. Blobs that are there already are not sent. A blob that is damaged is refused
 * by the registry, which checks its digest; one that is missing is an IntegrityError.
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
  const digest = sha256Of(indexBytes);
  await registry.pushManifest(tag ?? `sha256:${digest}`, indexBytes, OCI_INDEX);
  return { digest, blobs, bytes, present };
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

/** What goes under the index for one architecture. */
interface Part {
  readonly descriptor: Descriptor;
  readonly manifest: Buffer;
  /** Recipes that are not the bundle's own. */
  readonly config?: Buffer;
}

/**
 * The bundle's index and manifests as they are, or as much of them as is asked for. A registry takes no manifest
 * without its blobs, so one of which only some artifacts are wanted is written anew; `pull`, which has no
 * such rule, leaves them as they were signed.
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
      const { recipes, artifacts, uncovered } = wanted;
      parts.push(encodeArchManifest({ ...recipes, artifacts, missing: uncovered }));
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

const isWhole = ({ recipes, artifacts, uncovered }: ArchWork) =>
  artifacts.length === recipes.artifacts.length && uncovered.length === recipes.missing.length;

async function indexOf(bundle: Bundle): Promise<Buffer> {
  const size = (await stat(blobPath(bundle.path, bundle.digest)).catch(() => undefined))?.size;
  if (size !== undefined) return readJsonBlob(bundle.path, { sha256: bundle.digest, size });
  throw new UnsupportedError('the bundle has no index over its architectures', {
    code: 'BUNDLE_INDEX',
    context: { bundle: bundle.path },
    hint: 'push the bundle as dehydrate wrote it, or copy it with oras',
  });
}

/** What a layer is called for people. */
export const titleOf = ({ annotations }: Descriptor) => annotations?.[ANNOTATION_TITLE];

const refOf = (descriptor: Descriptor): BlobRef => ({
  sha256: digestHex(descriptor),
  size: descriptor.size,
});
