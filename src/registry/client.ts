import { IntegrityError, IoError } from '../core/errors.ts';
import { fetchFile } from '../core/http/fetch-file.ts';
import { readBody } from '../core/http/read-body.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { type Sha256, sha256Of } from '../core/io/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../formats/oci/media-types.ts';
import { connect, MAX_MANIFEST, type RegistryOptions } from './connection.ts';
import type { Reference } from './reference.ts';
import { type BlobContent, type UploadOptions, uploadBlob } from './upload.ts';

/** One repository of a registry: OCI distribution-spec v1.1. */
export interface Registry {
  /** By tag or digest; its bytes were hashed. Throws IoError `REGISTRY`, IntegrityError. */
  manifest(reference: string): Promise<{ bytes: Buffer; sha256: Sha256 }>;
  hasBlob(blob: BlobRef): Promise<boolean>;
  /** A small one, proved. */
  smallBlob(blob: BlobRef): Promise<Buffer>;
  /** Into a file: resumed, and checked as it arrives. */
  fetchBlob(blob: BlobRef, path: string, onBytes?: (done: number) => void): Promise<void>;
  /** In one piece, or from where it broke off: see {@link uploadBlob}. */
  pushBlob(blob: BlobRef, content: BlobContent, onBytes?: (done: number) => void): Promise<void>;
  pushManifest(reference: string, bytes: Uint8Array, mediaType: string): Promise<void>;
}

export function openRegistry(
  reference: Reference,
  options: RegistryOptions & { readonly upload?: Pick<UploadOptions, 'chunk' | 'pause'> } = {},
): Registry {
  const connection = connect(reference, options);
  const { root, send, expectOk, authorization } = connection;
  const { signal, upload } = options;

  async function hasBlob({ sha256 }: BlobRef): Promise<boolean> {
    const response = await send(`${root}/blobs/sha256:${sha256}`, () => ({ method: 'HEAD' }));
    if (response.status === 404) return false;
    await expectOk(response, `look for blob ${sha256}`);
    return true;
  }

  return {
    hasBlob,
    async manifest(name) {
      const accept = [OCI_INDEX, OCI_MANIFEST].join(', ');
      const response = await send(`${root}/manifests/${name}`, () => ({ headers: { accept } }));
      await expectOk(response, `give manifest ${name}`);
      const bytes = await readBody(response, MAX_MANIFEST, `manifest ${name}`);
      const sha256 = sha256Of(bytes);
      if (name.startsWith('sha256:') && name !== `sha256:${sha256}`) {
        throw wrong(name, sha256);
      }
      return { bytes, sha256 };
    },
    async smallBlob({ sha256, size }) {
      const response = await send(`${root}/blobs/sha256:${sha256}`, () => ({}));
      await expectOk(response, `give blob ${sha256}`);
      const bytes = await readBody(response, size, `blob ${sha256}`);
      const found = sha256Of(bytes);
      if (found !== sha256) throw wrong(`blob ${sha256}`, found);
      return bytes;
    },
    async fetchBlob({ sha256, size }, path, onBytes) {
      // The HEAD makes sure of a fresh token before bytes flow.
      if (!(await hasBlob({ sha256, size }))) {
        throw new IoError(`the registry has no blob ${sha256}`, {
          code: 'REGISTRY',
          context: { repository: root },
          hint: 'push the bundle again',
        });
      }
      await fetchFile({
        url: `${root}/blobs/sha256:${sha256}`,
        path,
        sha256,
        size,
        headers: authorization(),
        signal,
        ...(onBytes ? { onBytes } : {}),
      });
    },
    async pushBlob(blob, content, onBytes) {
      const isThere = () => hasBlob(blob);
      await uploadBlob(connection, { ...upload, blob, content, isThere, signal, onBytes });
    },
    async pushManifest(name, bytes, mediaType) {
      const put = await send(`${root}/manifests/${name}`, () => ({
        method: 'PUT',
        headers: { 'content-type': mediaType },
        body: Buffer.from(bytes),
      }));
      await expectOk(put, `take manifest ${name}`);
      await put.body?.cancel();
    },
  };
}

function wrong(name: string, found: string): IntegrityError {
  return new IntegrityError(`the registry gives other bytes for ${name}`, {
    code: 'REGISTRY_DIGEST',
    context: { found },
    hint: 'check the registry and what is between you and it',
  });
}
