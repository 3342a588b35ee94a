import { stat } from 'node:fs/promises';
import { type Arch, OCI_ARCHITECTURE } from '../arch.ts';
import { type BlobRef, blobPath, checkBlob, readJsonBlob } from '../bundle/blobs.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../bundle/media-types.ts';
import {
  type Descriptor,
  decodeIndex,
  decodeManifest,
  digestHex,
  encodeIndex,
} from '../bundle/oci.ts';
import { type Bundle, recipesFor } from '../bundle/read.ts';
import { throwIfAborted, UnsupportedError } from '../errors.ts';
import { createHasher, type Sha256 } from '../io/digest.ts';
import { type Progress, silent } from '../progress.ts';
import { step } from '../step.ts';
import type { Registry } from './client.ts';

export interface PushOptions {
  readonly bundle: Bundle;
  readonly registry: Registry;
  /** Where it goes: a tag, or undefined for its digest alone. */
  readonly tag: string | undefined;
  /** Only these; the index is then another one than the bundle's, with a digest of its own. */
  readonly arches: readonly Arch[] | 'all';
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
 * Pushes a bundle: blobs first, then manifests, then the index, so that nobody ever sees half of it.
 * Blobs that are there already are not sent. A blob that is damaged is refused by the registry, which
 * checks its digest; one that is missing is an IntegrityError.
 */
export async function push(options: PushOptions): Promise<Transfer> {
  const { bundle, registry, tag, arches, signal } = options;
  const { index, indexBytes } = await indexOf(bundle, arches);
  let blobs = 0;
  let bytes = 0;
  let present = 0;
  for (const descriptor of index) {
    const manifestBytes = await readJsonBlob(bundle.path, refOf(descriptor));
    const { config, layers } = decodeManifest(manifestBytes, descriptor.digest);
    for (const blob of [config, ...layers]) {
      throwIfAborted(signal);
      if (await registry.hasBlob(refOf(blob))) {
        present++;
        continue;
      }
      await pushBlob(refOf(blob), blob.annotations?.['org.opencontainers.image.title'], options);
      blobs++;
      bytes += blob.size;
    }
    await registry.pushManifest(descriptor.digest, manifestBytes, OCI_MANIFEST);
  }
  const hasher = createHasher();
  hasher.update(indexBytes);
  const digest = hasher.digest();
  await registry.pushManifest(tag ?? `sha256:${digest}`, indexBytes, OCI_INDEX);
  return { digest, blobs, bytes, present };
}

async function pushBlob(
  blob: BlobRef,
  title: string | undefined,
  { bundle, registry, progress = silent }: PushOptions,
): Promise<void> {
  const path = await checkBlob(bundle.path, blob);
  const subject = title ?? blob.sha256.slice(0, 12);
  await step(progress, { subject, phase: 'push', total: blob.size }, () =>
    registry.pushBlob(blob, path),
  );
}

/** The bundle's index as it is, or one with some of its architectures. */
async function indexOf(
  bundle: Bundle,
  arches: readonly Arch[] | 'all',
): Promise<{ index: readonly Descriptor[]; indexBytes: Buffer }> {
  const size = (await stat(blobPath(bundle.path, bundle.digest)).catch(() => undefined))?.size;
  if (size === undefined) {
    throw new UnsupportedError('the bundle has no index over its architectures', {
      code: 'BUNDLE_INDEX',
      context: { bundle: bundle.path },
      hint: 'push the bundle as dehydrate wrote it, or copy it with skopeo',
    });
  }
  const indexBytes = await readJsonBlob(bundle.path, { sha256: bundle.digest, size });
  const { manifests, ...rest } = decodeIndex(indexBytes, `sha256:${bundle.digest}`);
  if (arches === 'all') return { index: manifests, indexBytes };
  for (const arch of arches) recipesFor(bundle, arch);
  const wanted = new Set<string>(arches.map((arch) => OCI_ARCHITECTURE[arch]));
  const some = manifests.filter(({ platform }) => wanted.has(platform?.architecture ?? ''));
  const { artifactType, annotations } = rest;
  const made = encodeIndex({
    manifests: some,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  });
  return { index: some, indexBytes: made };
}

const refOf = (descriptor: Descriptor): BlobRef => ({
  sha256: digestHex(descriptor),
  size: descriptor.size,
});
