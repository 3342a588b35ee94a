import { IntegrityError, IoError } from '../core/errors.ts';
import { readBody, readDocument } from '../core/http/body.ts';
import { fetchFile } from '../core/http/fetch-file.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { type Sha256, sha256Of } from '../core/io/digest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../formats/oci/media-types.ts';
import { connect, MAX_MANIFEST, type RegistryOptions } from './connection.ts';
import type { Reference } from './reference.ts';
import { streamBlob } from './stream-blob.ts';
import { type BlobContent, COMMIT, type UploadOptions, uploadBlob } from './upload.ts';

/** One repository of a registry: OCI distribution-spec v1.1. */
export interface Registry {
  /** A manifest by tag or digest, with its bytes verified. Throws IoError `REGISTRY`, IntegrityError. */
  manifest(reference: string): Promise<{ bytes: Buffer; sha256: Sha256 }>;
  hasBlob(blob: BlobRef): Promise<boolean>;
  /** A small blob, verified. */
  smallBlob(blob: BlobRef): Promise<Buffer>;
  /** Downloads a blob to a file, resumes a part of it, and verifies it on the way. */
  fetchBlob(blob: BlobRef, path: string, onBytes?: (done: number) => void): Promise<void>;
  /** Reads a blob as it arrives, without writing it: see {@link streamBlob}. */
  streamBlob(blob: BlobRef): AsyncIterable<Uint8Array>;
  /** Uploads a blob in one piece, or in chunks after a failure: see {@link uploadBlob}. */
  pushBlob(blob: BlobRef, content: BlobContent, onBytes?: (done: number) => void): Promise<void>;
  pushManifest(reference: string, bytes: Uint8Array, mediaType: string): Promise<void>;
}

/** Limit of documents that are read whole: the JSON of a bundle. */
const MAX_SMALL = 16 << 20;

export function openRegistry(
  reference: Reference,
  options: RegistryOptions & { readonly upload?: Pick<UploadOptions, 'chunk' | 'pause'> } = {},
): Registry {
  const connection = connect(reference, options);
  const { root, send, open, expectOk } = connection;
  const { signal, upload, retry } = options;

  async function hasBlob({ sha256 }: BlobRef): Promise<boolean> {
    const look = (method: 'HEAD' | 'GET') =>
      send(urlOf(sha256), { method, downgrade: true }, async (response) => {
        const { status } = response;
        // Storage behind a registry may sign its URLs for GET only.
        if (method === 'HEAD' && [403, 405, 501].includes(status)) return undefined;
        if (status === 404) return false;
        await expectOk(response, `look for blob ${sha256}`);
        return true;
      });
    return (await look('HEAD')) ?? (await look('GET')) ?? false;
  }

  const urlOf = (sha256: Sha256) => `${root}/blobs/sha256:${sha256}`;

  return {
    hasBlob,
    manifest(name) {
      const accept = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].join(', ');
      const headers = { accept };
      return send(`${root}/manifests/${name}`, { headers }, async (response) => {
        await expectOk(response, `give manifest ${name}`);
        const bytes = await readDocument(response, MAX_MANIFEST, `manifest ${name}`);
        const sha256 = sha256Of(bytes);
        if (name.startsWith('sha256:') && name !== `sha256:${sha256}`) throw wrong(name, sha256);
        return { bytes, sha256 };
      });
    },
    smallBlob({ sha256, size }) {
      return send(urlOf(sha256), { downgrade: true }, async (response) => {
        await expectOk(response, `give blob ${sha256}`);
        const bytes = await readBody(response, Math.min(size, MAX_SMALL), `blob ${sha256}`);
        const found = sha256Of(bytes);
        if (found !== sha256) throw wrong(`blob ${sha256}`, found);
        return bytes;
      });
    },
    async fetchBlob({ sha256, size }, path, onBytes) {
      const url = urlOf(sha256);
      await fetchFile({
        ...{ url, path, sha256, size, signal, ...retry },
        ...(onBytes ? { onBytes } : {}),
        async get(headers) {
          const response = await open(url, { headers, downgrade: true });
          if (response.ok || response.status === 416) return response;
          using refused = response;
          if (refused.status !== 404) await expectOk(refused, `give blob ${sha256}`);
          throw new IoError(`the registry has no blob ${sha256}`, {
            code: 'REGISTRY',
            context: { repository: root },
            hint: 'push the bundle again',
          });
        },
      });
    },
    streamBlob: (blob) => streamBlob(connection, urlOf(blob.sha256), blob, { ...retry, signal }),
    async pushBlob(blob, content, onBytes) {
      const isThere = () => hasBlob(blob);
      await uploadBlob(connection, {
        ...retry,
        ...upload,
        blob,
        content,
        isThere,
        signal,
        onBytes,
      });
    },
    async pushManifest(name, bytes, mediaType) {
      const request = {
        method: 'PUT',
        headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
        body: async function* () {
          yield bytes;
        },
        patience: COMMIT,
      } as const;
      // Safe to repeat: it is the same manifest under the same name.
      await send(`${root}/manifests/${name}`, request, (response) =>
        expectOk(response, `take manifest ${name}`),
      );
    },
  };
}

function wrong(name: string, found: string): IntegrityError {
  return new IntegrityError(`the registry sends different bytes for ${name}`, {
    code: 'REGISTRY_DIGEST',
    context: { found },
    hint: 'check the registry and any proxy in front of it',
  });
}
