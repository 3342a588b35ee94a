import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { IoError, throwIfAborted } from '../core/errors.ts';
import type { HttpResponse } from '../core/http/client.ts';
import { askedBy, backOff, isTransient } from '../core/http/retry.ts';
import type { BlobRef } from '../core/io/digest.ts';
import type { Connection, RegistryRequest } from './connection.ts';

/** Opens the bytes `[start, end)` of a blob; called once per attempt. */
export type BlobContent = (start: number, end: number) => Readable;

export const contentOfFile =
  (path: string): BlobContent =>
  (start, end) =>
    end > start ? createReadStream(path, { start, end: end - 1 }) : Readable.from([]);

export const contentOfBytes =
  (bytes: Uint8Array): BlobContent =>
  (start, end) =>
    Readable.from([bytes.subarray(start, end)]);

export interface UploadOptions {
  readonly blob: BlobRef;
  readonly content: BlobContent;
  /** Whether the registry has the blob: the answer to the last request may have been lost. */
  readonly isThere: () => Promise<boolean>;
  /** Attempts without any progress before giving up. */
  readonly attempts?: number | undefined;
  /** Milliseconds to wait before the second attempt; the wait doubles with each further one. */
  readonly pause?: number | undefined;
  /** First size of a chunk in bytes; halved whenever one does not get through. */
  readonly chunk?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number) => void) | undefined;
}

const ATTEMPTS = 4;
const CHUNK = 32 << 20;
/** Milliseconds that a registry may take to verify an upload. */
export const COMMIT = 600_000;
/** The body size that a reverse proxy accepts by default: nginx's `client_max_body_size`. */
const SMALLEST = 1 << 20;

interface Session {
  readonly location: string;
  /** Bytes that the registry has. */
  readonly offset: number;
  /** `OCI-Chunk-Min-Length`. */
  readonly smallest: number;
}

/**
 * Uploads a blob as distribution-spec 1.1 says: in one piece, which every registry takes. If that breaks off,
 * or is too much for the registry or a proxy before it (GitHub's takes 4 MiB a request), it goes in chunks, each
 * from where the registry says that it stands; a registry that has dropped the upload gets it from the
 * start. The registry checks the digest in the end. Throws IoError `REGISTRY`.
 */
export async function uploadBlob(connection: Connection, options: UploadOptions): Promise<void> {
  const { blob, isThere, attempts = ATTEMPTS, pause, signal } = options;
  const first = options.chunk ?? CHUNK;
  let chunk = Number.POSITIVE_INFINITY;
  let session: Session | undefined;
  let reached = 0;
  for (let failures = 0; ; ) {
    try {
      session ??= await begin(connection, blob);
      while (chunk < blob.size && session.offset < blob.size) {
        session = await patch(connection, session, chunk, options);
      }
      return await finish(connection, session, options);
    } catch (error) {
      throwIfAborted(signal);
      const why = reasonOf(error, session);
      if (why === 'refused') throw connection.explain(error);
      let smaller = Math.min(chunk / 2, first);
      while (why === 'too large' && smaller >= blob.size) smaller /= 2;
      const smallest = Math.max(session?.smallest ?? 0, Math.min(SMALLEST, first));
      if (why === 'too large' && smaller < smallest) throw error;
      const stands =
        session && why === 'broken' ? await whereItStands(connection, session) : undefined;
      if (stands === undefined && (await isThere().catch(() => false))) return;
      failures = why === 'too large' || (stands?.offset ?? 0) > reached ? 1 : failures + 1;
      reached = Math.max(reached, stands?.offset ?? 0);
      session = stands;
      chunk = Math.max(smallest, smaller);
      await backOff(connection.explain(error), failures, {
        ...{ attempts, pause, signal, asked: askedBy(error) },
      });
    }
  }
}

/** Sends one request of an upload, once: the kind of failure decides how to continue. */
async function once<T>(
  { open }: Connection,
  url: string,
  request: RegistryRequest,
  take: (response: HttpResponse) => Promise<T>,
): Promise<T> {
  using response = await open(url, request);
  return await take(response);
}

async function begin(connection: Connection, blob: BlobRef): Promise<Session> {
  const { root, expectOk } = connection;
  const url = `${root}/blobs/uploads/`;
  const request = { method: 'POST', headers: { 'content-length': '0' } } as const;
  return once(connection, url, request, async (response) => {
    await expectOk(response, `take blob ${blob.sha256}`);
    const smallest = Number(response.header('oci-chunk-min-length') ?? 0) || 0;
    return { location: locationOf(response, url), offset: 0, smallest };
  });
}

/** Sends the next chunk. */
async function patch(
  connection: Connection,
  session: Session,
  chunk: number,
  { blob, content, onBytes }: UploadOptions,
): Promise<Session> {
  const { offset, location } = session;
  const { expectOk } = connection;
  const end = Math.min(blob.size, offset + Math.max(chunk, session.smallest));
  const request = {
    method: 'PATCH',
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - offset),
      'content-range': `${offset}-${end - 1}`,
    },
    body: () => counted(content, offset, end, onBytes),
  } as const;
  return once(connection, location, request, async (response) => {
    await expectOk(response, `take a part of blob ${blob.sha256}`);
    // `Range` is not used: Amazon's stays at the first chunk. The digest finds any mistake.
    return { ...session, location: locationOf(response, location), offset: end };
  });
}

/** Sends the missing bytes and the digest. */
async function finish(
  connection: Connection,
  { location, offset }: Session,
  { blob, content, onBytes }: UploadOptions,
): Promise<void> {
  // Appended as text, so that the registry's own query stays byte for byte.
  const url = `${location}${location.includes('?') ? '&' : '?'}digest=sha256:${blob.sha256}`;
  const rest = blob.size - offset;
  const request = {
    method: 'PUT',
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(rest),
      ...(offset > 0 && rest > 0 ? { 'content-range': `${offset}-${blob.size - 1}` } : {}),
    },
    ...(rest > 0 ? { body: () => counted(content, offset, blob.size, onBytes) } : {}),
    patience: COMMIT,
  } as const;
  await once(connection, url, request, (response) =>
    connection.expectOk(response, `take blob ${blob.sha256}`),
  );
}

/** Undefined if the registry has dropped the upload, or does not know. */
async function whereItStands(
  connection: Connection,
  session: Session,
): Promise<Session | undefined> {
  const take = async (response: HttpResponse) => {
    if (!response.ok) return undefined;
    // In practice, an upload without any bytes has `0-0`.
    const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(response.header('range') ?? '')?.[1] ?? 0);
    const offset = last === 0 ? 0 : last + 1;
    return { ...session, location: locationOf(response, session.location), offset };
  };
  return once(connection, session.location, {}, take).catch(() => undefined);
}

/** The next URL of an upload; its origin is checked when it is used. */
function locationOf(response: HttpResponse, base: string): string {
  const location = response.header('location') ?? base;
  if (URL.canParse(location, base)) return new URL(location, base).href;
  throw new IoError('the registry gives no valid location for an upload', {
    code: 'REGISTRY',
    context: { location: location.slice(0, 200) },
    hint: 'see the log of the registry',
  });
}

async function* counted(
  content: BlobContent,
  start: number,
  end: number,
  onBytes: UploadOptions['onBytes'],
): AsyncGenerator<Uint8Array> {
  let done = start;
  for await (const bytes of content(start, end) as AsyncIterable<Uint8Array>) {
    yield bytes;
    done += bytes.length;
    onBytes?.(done);
  }
}

/** `broken` may succeed later, `too large` in smaller pieces. */
function reasonOf(
  error: unknown,
  session: Session | undefined,
): 'refused' | 'broken' | 'too large' {
  if (isTransient(error)) return 'broken';
  if (!(error instanceof IoError) || error.code !== 'REGISTRY') return 'refused';
  const { status } = error.context;
  // GitHub answers 416 to a chunk that is too large, and any registry to a chunk that it does not expect.
  if (status === 413 || status === 416) return 'too large';
  // The registry has dropped the upload; it can be begun again.
  return status === 404 && session !== undefined ? 'broken' : 'refused';
}
