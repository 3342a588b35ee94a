import type { Bundle } from '../../bundle/read.ts';
import { ARCHITECTURES, OCI_ARCHITECTURE } from '../../core/arch.ts';
import { IoError, throwIfAborted } from '../../core/errors.ts';
import { type Sha256, sha256Of } from '../../core/io/digest.ts';
import { OCI_INDEX } from '../../formats/oci/media-types.ts';
import { type Descriptor, decodeIndex, encodeIndex } from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';
import { refuseOtherStream } from '../merge/merge.ts';
import { type Documents, fetchDocuments } from './manifests.ts';

export interface MergeTagOptions {
  readonly bundle: Bundle;
  readonly registry: Registry;
  readonly tag: string;
  readonly signal?: AbortSignal | undefined;
}

/** Other jobs may write the tag at the same time: a registry cannot compare and swap. */
const TRIES = 8;

/**
 * Adds manifests to the index under a tag, in the place of those of the same architectures, and returns the digest
 * of the new index. Only documents are read. If another job overwrites ours in the meantime, ours is added again.
 * Throws UsageError `MERGE_STREAMS`.
 */
export async function mergeIntoTag(
  own: readonly Descriptor[],
  indexBytes: Buffer,
  { bundle, registry, tag, signal }: MergeTagOptions,
): Promise<Sha256> {
  for (let tries = 0; tries < TRIES; tries++) {
    throwIfAborted(signal);
    const there = await documentsAt(registry, tag);
    const others = there && othersIn(there, own, bundle);
    const merged = others ? indexOf([...others, ...own], indexBytes) : indexBytes;
    const digest = sha256Of(merged);
    if (there?.digest === digest) return digest;
    await registry.pushManifest(tag, merged, OCI_INDEX);
    const { bytes } = await registry.manifest(tag);
    const now = new Set(decodeIndex(bytes, tag).manifests.map((one) => one.digest));
    if (own.every((one) => now.has(one.digest))) return sha256Of(bytes);
  }
  throw new IoError(`other jobs keep overwriting the tag ${tag}`, {
    code: 'REGISTRY',
    context: { tag },
    hint: 'push the architectures one after the other',
  });
}

/** Undefined if the tag does not exist. */
async function documentsAt(registry: Registry, tag: string): Promise<Documents | undefined> {
  try {
    return await fetchDocuments(registry, tag);
  } catch (error) {
    if (error instanceof IoError && error.context.status === 404) return undefined;
    throw error;
  }
}

/** The manifests of other architectures, which must come from the same stream. */
function othersIn(
  { blobs, digest, recipes }: Documents,
  own: readonly Descriptor[],
  bundle: Bundle,
): readonly Descriptor[] {
  const index = blobs.get(digest);
  const replaced = new Set(own.map(({ platform }) => platform?.architecture));
  const { manifests } = decodeIndex(index ?? Buffer.alloc(0), `sha256:${digest}`);
  const others = manifests.filter(({ platform }) => !replaced.has(platform?.architecture));
  const [mine] = bundle.recipes;
  for (const other of recipes) {
    if (mine && !replaced.has(OCI_ARCHITECTURE[other.architecture])) refuseOtherStream(mine, other);
  }
  return others;
}

/** In the order in which a single job writes them, with the annotations of our index. */
function indexOf(manifests: readonly Descriptor[], own: Buffer): Buffer {
  const { artifactType, annotations } = decodeIndex(own, 'index');
  const order: readonly string[] = ARCHITECTURES.map((arch) => OCI_ARCHITECTURE[arch]);
  const place = ({ platform }: Descriptor) => order.indexOf(platform?.architecture ?? '');
  return encodeIndex({
    manifests: manifests.toSorted((a, b) => place(a) - place(b)),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  });
}
