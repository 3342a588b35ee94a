import { FormatError, IntegrityError, UnsupportedError } from '../../core/errors.ts';
import { writeAtomically } from '../../core/io/atomic.ts';
import { type BlobRef, createHasher } from '../../core/io/digest.ts';
import { openImageArchive } from '../../engine/files/images/layout.ts';
import type { ImageStore } from '../../engine/files/images/store.ts';
import { OCI_INDEX } from '../../formats/oci/media-types.ts';
import { decodeIndex, digestHex } from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';

const MAX_SMALL = 16 << 20;

/** A bundle in an `oci-archive`: a tar of an OCI image layout, as skopeo writes it. */
export async function openBundleArchive(
  path: string,
  tag: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Pick<Registry, 'manifest' | 'smallBlob' | 'fetchBlob'>> {
  const store = await openImageArchive(path, { tag, signal });
  return {
    async manifest(name) {
      const top = topOf(store);
      const sha256 = name.startsWith('sha256:')
        ? digestHex({ digest: name as `sha256:${string}` })
        : top;
      const bytes = Buffer.from(await store.document({ digest: sha256, size: 0 }, 'manifest'));
      return { bytes, sha256 };
    },
    async smallBlob(blob) {
      if (blob.size > MAX_SMALL) {
        throw new FormatError(`blob ${blob.sha256} of ${path} is too large: ${blob.size} bytes`, {
          code: 'TOO_LARGE',
          context: { archive: path, size: blob.size, limit: MAX_SMALL },
        });
      }
      const parts: Uint8Array[] = [];
      for await (const part of proven(store, blob)) parts.push(part);
      return Buffer.concat(parts);
    },
    async fetchBlob(blob, to, onBytes) {
      await writeAtomically(
        to,
        async (sink) => {
          let done = 0;
          for await (const part of proven(store, blob)) {
            await sink.write(part);
            done += part.length;
            onBytes?.(done);
          }
        },
        { signal },
      );
    },
  };
}

/** The digest of the bundle's index; other entries, such as signatures, are not indexes. */
function topOf({ top, name }: ImageStore) {
  const { manifests } = decodeIndex(top, `${name}/index.json`);
  const indexes = manifests.filter(({ mediaType }) => mediaType === OCI_INDEX);
  const [only, ...more] = indexes.length > 0 ? indexes : manifests;
  if (only && more.length === 0) return digestHex(only);
  throw new UnsupportedError(`${name} has ${manifests.length} images`, {
    code: 'IMAGE_AMBIGUOUS',
    context: { archive: name },
    hint: 'name one by its tag: oci-archive:FILE:TAG',
  });
}

/** Throws IntegrityError `BLOB_DIGEST` at the end. */
async function* proven(
  store: ImageStore,
  { sha256, size }: BlobRef,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hasher = createHasher();
  for await (const part of store.stream({ digest: sha256, size })) {
    hasher.update(part);
    yield part;
  }
  const found = hasher.digest();
  if (found === sha256) return;
  throw new IntegrityError(`blob ${sha256} of ${store.name} is damaged`, {
    code: 'BLOB_DIGEST',
    context: { archive: store.name, expected: sha256, found },
    hint: 'copy the archive again',
  });
}
