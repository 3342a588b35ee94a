import { chmod, link, lstat, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { blobPath } from '../../bundle/blobs.ts';
import {
  besideTarget,
  folderState,
  MAX_INDEX_BYTES,
  putInPlace,
  refuseForeign,
  refuseTaken,
  resolveTarget,
} from '../../bundle/folder.ts';
import { ANNOTATION_REF_NAME, BUNDLE_TYPE } from '../../bundle/media-types.ts';
import { type Bundle, openBundle } from '../../bundle/read.ts';
import type { Selection } from '../../bundle/select.ts';
import { refuseUntrusted, type Trust } from '../../bundle/trust.ts';
import { blobsFor } from '../../bundle/work.ts';
import type { Arch } from '../../core/arch.ts';
import { FormatError, IoError, throwIfAborted } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import type { BlobRef, Sha256 } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import { readWhole } from '../../core/io/regular.ts';
import { makeScratch, reclaimScratch } from '../../core/io/scratch.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import {
  type Descriptor,
  decodeIndex,
  digestHex,
  encodeIndex,
  encodeLayout,
  type OciIndex,
} from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';
import { checkIndex, type Vetted } from '../trust/trust.ts';
import { type Documents, fetchDocuments } from './manifests.ts';
import { choosePart } from './part.ts';
import { type Transfer, titleOf } from './push.ts';

export interface PullOptions {
  readonly registry: Registry;
  /** Tag, or `sha256:…`. */
  readonly reference: string;
  readonly target: string;
  readonly arches: readonly Arch[] | 'all';
  readonly selection: Selection;
  /** Skip the ISOs, because the user has them. */
  readonly withoutIso?: boolean | undefined;
  /** Replace another bundle at the target. */
  readonly force?: boolean | undefined;
  /** What the user trusts; nothing is written if the bundle, or a requested image, does not satisfy it. */
  readonly vetted?: Vetted | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

/**
 * Pulls a bundle, or the part that some artifacts need: all manifests, recipes and streams, which are
 * small, and the blobs of those artifacts. The index and its digest stay the same.
 *
 * - Nothing is written to the target before it is known to be a bundle.
 * - If the folder holds the same bundle, the missing blobs are added, so an interrupted pull resumes.
 * - Another bundle is replaced only with `force`, and only once the new one is complete.
 *
 * Throws UsageError `BUNDLE_EXISTS` for anything else at the target, and what {@link openBundle} throws.
 */
export async function pull(options: PullOptions): Promise<Transfer> {
  const { registry, reference, force = false, vetted } = options;
  const pinned = vetted?.trust.verifiedBy === undefined ? undefined : vetted.digest;
  const documents = await fetchDocuments(registry, pinned ? `sha256:${pinned}` : reference);
  checkIndex(documents.digest, vetted?.digest);
  if (vetted) refuseUntrustedPart(documents, vetted.trust, options);
  const target = await resolveTarget(options.target);
  await makeFolder(dirname(target));
  if (await holdsSame(target, documents.digest, options.signal)) {
    await writeBlobs(target, documents);
    return pullInto(target, documents, options);
  }
  await refuseTaken(target, { force });
  await reclaimScratch(besideTarget(target));
  await using scratch = await makeScratch(besideTarget(target)).catch((error: unknown) => {
    throw osError(error, 'create', target);
  });
  const { path: made } = scratch;
  await chmod(made, 0o755);
  await writeLayout(made, documents, reference);
  const { kind } = await folderState(target);
  if (kind !== 'layout') {
    // Nothing can be lost here: blobs are stored where a later pull finds them.
    await openBundle(made, options.signal);
    await putInPlace(made, target, { replace: false }).catch(async (error: unknown) => {
      // Another pull may have put the same bundle there in the meantime.
      if (!(await holdsSame(target, documents.digest, options.signal))) throw error;
    });
    return await pullInto(target, documents, options);
  }
  const done = await pullInto(made, documents, options, target);
  throwIfAborted(options.signal);
  await refuseTaken(target, { force });
  await putInPlace(made, target, { replace: force });
  return done;
}

function refuseUntrustedPart(
  { recipes }: Documents,
  trust: Trust,
  { target, arches, selection, progress = silent }: PullOptions,
): void {
  const work = choosePart({ bundle: { path: target, recipes }, arches, selection }, progress);
  for (const { recipes, artifacts } of work) {
    for (const artifact of artifacts) refuseUntrusted({ trust }, recipes, artifact);
  }
}

/** Whether a folder was written by an earlier pull of the same digest, complete or not. */
async function holdsSame(
  target: string,
  digest: Sha256,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const state = await folderState(target);
  if (state.kind !== 'layout') return false;
  const index = await readIndex(join(target, 'index.json'), signal);
  if (!index?.manifests.some((entry) => digestHex(entry) === digest)) return false;
  // A link among them could lead the blobs anywhere.
  refuseForeign(target, state.foreign);
  return true;
}

async function pullInto(
  folder: string,
  { digest, layers }: Documents,
  options: PullOptions,
  older?: string,
): Promise<Transfer> {
  const bundle = await openBundle(folder, options.signal);
  const names = new Map(layers.map((layer) => [digestHex(layer), titleOf(layer)]));
  const got = { blobs: 0, bytes: 0, present: 0 };
  for (const blob of wantedOf(bundle, options)) {
    throwIfAborted(options.signal);
    const title = names.get(blob.sha256) ?? blob.sha256.slice(0, 12);
    if (await isThere(folder, blob, older, options.signal)) got.present++;
    else {
      await fetchBlob(folder, blob, title, options);
      got.blobs++;
      got.bytes += blob.size;
    }
  }
  return { digest, ...got };
}

function wantedOf(bundle: Bundle, options: PullOptions): Iterable<BlobRef> {
  const { arches, selection, withoutIso = false, progress = silent } = options;
  const work = choosePart({ bundle, arches, selection }, progress);
  const isos = new Set<string>(bundle.recipes.map(({ iso }) => iso.sha256));
  const wanted = new Map<string, BlobRef>();
  for (const blob of blobsFor(work)) {
    if (!withoutIso || !isos.has(blob.sha256)) wanted.set(blob.sha256, blob);
  }
  return wanted.values();
}

async function fetchBlob(
  folder: string,
  blob: BlobRef,
  subject: string,
  { registry, progress = silent }: PullOptions,
): Promise<void> {
  const path = blobPath(folder, blob.sha256);
  await step(progress, { subject, phase: 'fetch', total: blob.size }, (onBytes) =>
    registry.fetchBlob(blob, path, onBytes),
  );
}

/** Whether a blob is present and intact; a blob of an `older` bundle is reused. */
async function isThere(
  folder: string,
  blob: BlobRef,
  older: string | undefined,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const path = blobPath(folder, blob.sha256);
  if (await isRight(path, blob, signal)) return true;
  const other = older === undefined ? undefined : blobPath(older, blob.sha256);
  if (other === undefined || !(await isRight(other, blob, signal))) return false;
  try {
    await rm(path, { force: true });
    await link(other, path);
  } catch {
    return false;
  }
  return true;
}

async function isRight(path: string, blob: BlobRef, signal?: AbortSignal): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== blob.size) return false;
  return (await hashFile(path, { signal })).sha256 === blob.sha256;
}

/** Undefined if it is not an index; then nothing may be added to the folder. */
async function readIndex(path: string, signal?: AbortSignal): Promise<OciIndex | undefined> {
  try {
    const options = { limit: MAX_INDEX_BYTES, what: 'index.json', signal };
    return decodeIndex(await readWhole(path, options), path);
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof FormatError) return undefined;
    if (error instanceof IoError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** Writes the documents of a bundle into a folder, which can then be opened. */
export async function writeLayout(
  folder: string,
  documents: Documents,
  reference: string,
): Promise<void> {
  const { digest, mediaType, blobs } = documents;
  const tag = reference.startsWith('sha256:') ? undefined : reference;
  const entry: Descriptor = {
    mediaType,
    digest: `sha256:${digest}`,
    size: blobs.get(digest)?.length ?? 0,
    artifactType: BUNDLE_TYPE,
    ...(tag === undefined ? {} : { annotations: { [ANNOTATION_REF_NAME]: tag } }),
  };
  await makeFolder(join(folder, 'blobs', 'sha256'));
  await writeBlobs(folder, documents);
  await writeFileAt(join(folder, 'index.json'), encodeIndex({ manifests: [entry] }));
  await writeFileAt(join(folder, 'oci-layout'), encodeLayout());
}

async function writeBlobs(folder: string, { blobs }: Documents): Promise<void> {
  for (const [sha256, bytes] of blobs) {
    const blob = { sha256, size: bytes.length };
    if (await isRight(blobPath(folder, sha256), blob)) continue;
    await writeFileAt(blobPath(folder, sha256), bytes);
  }
}

const writeFileAt = (path: string, bytes: Uint8Array) =>
  writeAtomically(path, (sink) => sink.write(bytes));
