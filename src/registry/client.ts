import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import * as v from 'valibot';
import type { BlobRef } from '../bundle/blobs.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../bundle/media-types.ts';
import { fetchFile } from '../download/fetch-file.ts';
import { readBody } from '../download/read-body.ts';
import { IntegrityError, IoError, RehydrateError, throwIfAborted } from '../errors.ts';
import { type Sha256, sha256Of } from '../io/digest.ts';
import { parseJson } from '../json/parse.ts';
import { isLoopback, type Reference } from './reference.ts';

export interface RegistryOptions {
  /** `Basic …`; undefined: nobody in particular. */
  readonly credentials?: string | undefined;
  /** HTTP instead of HTTPS; registries on loopback addresses have it anyway. */
  readonly plainHttp?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One repository of a registry: OCI distribution-spec v1.1. */
export interface Registry {
  /** By tag or digest; its bytes were hashed. Throws IoError `REGISTRY`, IntegrityError. */
  manifest(reference: string): Promise<{ bytes: Buffer; sha256: Sha256 }>;
  hasBlob(blob: BlobRef): Promise<boolean>;
  /** A small one, proved. */
  smallBlob(blob: BlobRef): Promise<Buffer>;
  /** Into a file: resumed, and checked as it arrives. */
  fetchBlob(blob: BlobRef, path: string, onBytes?: (done: number) => void): Promise<void>;
  pushBlob(blob: BlobRef, path: string): Promise<void>;
  pushManifest(reference: string, bytes: Uint8Array, mediaType: string): Promise<void>;
}

/** The limit that the specification asks registries to keep. */
const MAX_MANIFEST = 4 << 20;

const tokenSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
});

export function openRegistry(
  reference: Reference,
  { credentials, plainHttp, signal }: RegistryOptions = {},
): Registry {
  const scheme = plainHttp || isLoopback(reference) ? 'http' : 'https';
  const root = `${scheme}://${reference.host}/v2/${reference.name}`;
  let authorization: string | undefined;

  /** Sends a request; if the registry asks who it is, says so and sends it again. */
  async function send(url: string, init: () => RequestInit & { duplex?: 'half' }) {
    const once = async () => {
      const { headers, ...rest } = init();
      const own = authorization === undefined ? {} : { authorization };
      return fetch(url, {
        ...rest,
        headers: { ...(headers as Record<string, string>), ...(sameHost(url) ? own : {}) },
        ...(signal ? { signal } : {}),
      });
    };
    try {
      const first = await once();
      if (first.status !== 401) return first;
      await first.body?.cancel();
      authorization = await authorize(first.headers.get('www-authenticate') ?? '');
      return await once();
    } catch (error) {
      throwIfAborted(signal);
      throw networkError(error);
    }
  }
  const sameHost = (url: string) => new URL(url).host === new URL(root).host;

  /** Basic, or a token as Docker's specification "Token Authentication" has it. */
  async function authorize(challenge: string): Promise<string> {
    const [, kind = '', rest = ''] = /^(\w+)\s*(.*)$/s.exec(challenge) ?? [];
    if (kind.toLowerCase() === 'basic' && credentials !== undefined) return credentials;
    const fields = new Map(
      [...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    );
    const realm = fields.get('realm') ?? '';
    const isSafe = /^https:/.test(realm) || (scheme === 'http' && /^http:/.test(realm));
    if (kind.toLowerCase() !== 'bearer' || !URL.canParse(realm) || !isSafe) throw loginNeeded();
    const url = new URL(realm);
    for (const name of ['service', 'scope']) {
      const value = fields.get(name);
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const headers = credentials === undefined ? {} : { authorization: credentials };
    const response = await fetch(url, { headers, ...(signal ? { signal } : {}) });
    if (!response.ok) throw loginNeeded();
    const bytes = await readBody(response, MAX_MANIFEST, realm);
    const { token, access_token: access } = parseJson(bytes, tokenSchema, {
      what: 'token of the registry',
      source: realm,
    });
    return `Bearer ${token ?? access ?? ''}`;
  }

  async function expectOk(response: Response, doing: string): Promise<Response> {
    if (response.ok) return response;
    if (response.status === 401) throw loginNeeded();
    const text = (await response.text().catch(() => '')).replace(/\P{L}/gu, plain).slice(0, 300);
    throw new IoError(`the registry refuses to ${doing}: ${response.status} ${text}`.trim(), {
      code: 'REGISTRY',
      context: { url: response.url, status: response.status },
      hint: HINTS[response.status] ?? 'look into the log of the registry',
    });
  }

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
      const headers = authorization === undefined ? {} : { authorization };
      await fetchFile({
        url: `${root}/blobs/sha256:${sha256}`,
        path,
        sha256,
        size,
        headers,
        signal,
        ...(onBytes ? { onBytes } : {}),
      });
    },
    async pushBlob({ sha256, size }, path) {
      const begun = await send(`${root}/blobs/uploads/`, () => ({ method: 'POST' }));
      await expectOk(begun, 'take a blob');
      const location = new URL(begun.headers.get('location') ?? '', `${root}/blobs/uploads/`);
      location.searchParams.set('digest', `sha256:${sha256}`);
      const put = await send(location.href, () => ({
        method: 'PUT',
        headers: {
          'content-type': 'application/octet-stream',
          'content-length': String(size),
        },
        body: Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>,
        duplex: 'half',
      }));
      await expectOk(put, `take blob ${sha256}`);
      await put.body?.cancel();
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

  function loginNeeded(): IoError {
    return new IoError(`the registry ${reference.host} wants a login`, {
      code: 'REGISTRY_LOGIN',
      context: { registry: reference.host },
      hint: `log in, with \`skopeo login ${reference.host}\` for example, or name --authfile`,
    });
  }

  function networkError(error: unknown): unknown {
    if (error instanceof RehydrateError) return error;
    const cause = error instanceof Error ? error.cause : undefined;
    const why = cause instanceof Error ? cause.message : String(error);
    return new IoError(`cannot reach the registry ${reference.host}: ${why}`, {
      code: 'REGISTRY',
      context: { registry: reference.host },
      hint: 'check the name of the registry, and --plain-http if it has no TLS',
      cause: error,
    });
  }
}

const HINTS: Readonly<Record<number, string>> = {
  403: 'check what your login may do',
  404: 'check the name and the tag',
  405: 'this registry does not take uploads',
  413: 'this registry limits the size of blobs',
};

const plain = (char: string) => (/^[\p{N}\p{P}\p{S} ]$/u.test(char) ? char : ' ');

function wrong(name: string, found: string): IntegrityError {
  return new IntegrityError(`the registry gives other bytes for ${name}`, {
    code: 'REGISTRY_DIGEST',
    context: { found },
    hint: 'check the registry and what is between you and it',
  });
}
