import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { blobPath } from '../../bundle/blobs.ts';
import { type Bundle, openBundle } from '../../bundle/read.ts';
import { vouchersOf } from '../../bundle/trust.ts';
import { throwIfAborted } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { isSha256 } from '../../core/io/digest.ts';
import { lookAt } from '../../core/io/presence.ts';
import { openSource } from '../../core/io/source.ts';
import { type Progress, silent } from '../../core/progress/progress.ts';
import { step } from '../../core/progress/step.ts';
import type { BlobCache } from '../../engine/cache/blob-cache.ts';
import { digestHex } from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';
import { parseReference, type Reference, referenceText } from '../../registry/reference.ts';
import { checkIndex, type Vetted } from '../trust/trust.ts';
import { openBundleArchive } from './archive.ts';
import { fetchDocuments } from './manifests.ts';
import { writeLayout } from './pull.ts';
import { titleOf } from './push.ts';

/** Where the parts of a bundle come from: a registry or an archive. */
export type BundleSource = Pick<Registry, 'manifest' | 'smallBlob' | 'fetchBlob'>;

/** A bundle that may be elsewhere: its documents are here, its blobs are fetched on request. */
export interface SourcedBundle {
  readonly bundle: Bundle;
  /** Fetches the blobs that are not here yet; does nothing for a folder. */
  obtain(blobs: Iterable<BlobRef>): Promise<void>;
}

export interface BundleSourceOptions {
  readonly blobs: () => Promise<BlobCache>;
  readonly connect: (reference: Reference) => Promise<Registry>;
  /** Called before any part of the bundle is read. */
  readonly vet: (named: { readonly name: string; readonly inRegistry: boolean }) => Promise<Vetted>;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

export type BundleName =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'archive'; readonly path: string; readonly tag: string | undefined }
  | { readonly kind: 'registry'; readonly reference: Reference };

/**
 * Opens the bundle that --bundle names: a folder, an archive (a file, or `oci-archive:FILE[:TAG]`), or a registry
 * reference. Unless it is a folder, only documents and wanted blobs are fetched, through the cache, so a bundle
 * named by its digest needs no network the next time. Throws the errors of `openBundle` and of the registry.
 */
export async function openNamedBundle(
  name: string,
  options: BundleSourceOptions,
): Promise<SourcedBundle> {
  const { signal, progress = silent } = options;
  const named = await bundleName(name);
  const inRegistry = named.kind === 'registry';
  const vetted = await options.vet({
    name: inRegistry ? referenceText(named.reference) : resolve(named.path),
    inRegistry,
  });
  const { trust, digest: wanted } = vetted;
  const tell = () => {
    progress({ type: 'note', subject: 'trust', message: `vouched for by ${vouchersOf(trust)}` });
  };
  if (named.kind === 'folder') {
    const bundle = await openBundle(named.path, signal);
    checkIndex(bundle.digest, wanted);
    tell();
    return { bundle: { ...bundle, trust }, obtain: async () => {} };
  }
  const blobs = await options.blobs();
  const source =
    named.kind === 'registry'
      ? throughCache(
          once(() => options.connect(named.reference)),
          blobs,
        )
      : throughCache(
          once(() => openBundleArchive(named.path, named.tag, signal)),
          blobs,
        );
  // A tag may move between the verification and the read, and needs the network.
  const isPinned =
    wanted !== undefined && (trust.verifiedBy !== undefined || (await blobs.read(wanted)));
  const own = named.kind === 'registry' ? nameIn(named.reference) : 'latest';
  const reference = isPinned ? `sha256:${wanted}` : own;
  const documents = await fetchDocuments(source, reference);
  checkIndex(documents.digest, wanted);
  const folder = join(await blobs.scratch(), `bundle-${randomBytes(6).toString('hex')}`);
  await writeLayout(folder, documents, reference);
  const { digest } = documents;
  const origin =
    named.kind === 'registry'
      ? referenceText({ ...named.reference, tag: undefined, digest })
      : named.path;
  const bundle = { ...(await openBundle(folder, signal)), origin, trust };
  tell();
  const titles = new Map(documents.layers.map((layer) => [digestHex(layer), titleOf(layer)]));
  return {
    bundle,
    async obtain(wanted) {
      for (const blob of wanted) {
        throwIfAborted(signal);
        const path = blobPath(folder, blob.sha256);
        if (await lookAt(path)) continue;
        const subject = titles.get(blob.sha256) ?? blob.sha256.slice(0, 12);
        await step(progress, { subject, phase: 'fetch', total: blob.size }, (onBytes) =>
          source.fetchBlob(blob, path, onBytes),
        );
      }
    },
  };
}

const nameIn = ({ digest, tag = 'latest' }: Reference) => (digest ? `sha256:${digest}` : tag);

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Asks the source for documents that the cache lacks. A tag is always looked up, because it may have moved. */
function throughCache(open: () => Promise<BundleSource>, cache: BlobCache): BundleSource {
  return {
    async manifest(name) {
      const sha256 = name.replace(/^sha256:/, '');
      if (name.startsWith('sha256:') && isSha256(sha256)) {
        const bytes = await cache.read(sha256);
        if (bytes) return { bytes, sha256 };
      }
      const found = await (await open()).manifest(name);
      await cache.keep(found.bytes);
      return found;
    },
    async smallBlob(blob) {
      const known = await cache.read(blob.sha256);
      if (known) return known;
      const bytes = await (await open()).smallBlob(blob);
      await cache.keep(bytes);
      return bytes;
    },
    async fetchBlob(blob, path, onBytes) {
      if (await cache.take(blob.sha256, path, { onBytes })) return;
      const source = await open();
      await cache.add(blob, path, (to) => source.fetchBlob(blob, to, onBytes));
    },
  };
}

const ARCHIVE = /^oci-archive:(.+?)(?::([\w][\w.-]{0,127}))?$/;

/** Resolves a name, and tells whether it is a folder, which needs no cache. */
export async function bundleName(text: string): Promise<BundleName> {
  if (/^(docker|oci):\/\//.test(text)) {
    return { kind: 'registry', reference: parseReference(text) };
  }
  const archive = ARCHIVE.exec(text);
  if (archive?.[1] !== undefined) return { kind: 'archive', path: archive[1], tag: archive[2] };
  const found = await stat(text).catch(() => undefined);
  if (found?.isFile() && (await isTar(text)))
    return { kind: 'archive', path: text, tag: undefined };
  if (found === undefined && namesRepository(text)) {
    return { kind: 'registry', reference: parseReference(text) };
  }
  return { kind: 'folder', path: text.replace(/^oci:/, '') };
}

/** `ustar` at the offset given by POSIX.1. */
async function isTar(path: string): Promise<boolean> {
  await using source = await openSource(path);
  if (source.size < 512) return false;
  const head = Buffer.alloc(512);
  await source.read(head, 0);
  return head.toString('latin1', 257, 262) === 'ustar';
}

/**
 * Whether a name can only be a registry reference if there is nothing at that path: it has a tag, a digest, or a
 * port.
 */
export function namesRepository(text: string): boolean {
  if (/^(docker|oci):\/\//.test(text)) return true;
  if (/^\.{0,2}\//.test(text)) return false;
  const hasTag = /\/[^/]*(:[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})$/.test(text);
  if (!hasTag && !/^[^/]+:\d+\//.test(text)) return false;
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}
