import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { IoError, throwIfAborted } from '../core/errors.ts';
import type { BlobRef } from '../core/io/digest.ts';
import type { Connection } from './connection.ts';

/** Bytes from `start` to before `end` of a blob; asked again for each try. */
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
  /** Whether the registry has the blob: the answer to what finished it may have been lost. */
  readonly isThere: () => Promise<boolean>;
  /** Tries without any progress before giving up. */
  readonly attempts?: number | undefined;
  /** Milliseconds to wait before the second try; twice as long before each one after. */
  readonly pause?: number | undefined;
  /** First size of a chunk in bytes; halved whenever one does not get through. */
  readonly chunk?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number) => void) | undefined;
}

const ATTEMPTS = 4;
const PAUSE = 1000;
const CHUNK = 32 << 20;
/** What a reverse proxy takes that nobody has told otherwise: nginx's `client_max_body_size`. */
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
  const { blob, isThere, attempts = ATTEMPTS, pause = PAUSE, signal } = options;
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
      const why = reasonOf(error);
      if (why === 'refused') throw error;
      let smaller = Math.min(chunk / 2, first);
      while (why === 'too large' && smaller >= blob.size) smaller /= 2;
      const smallest = Math.max(session?.smallest ?? 0, Math.min(SMALLEST, first));
      if (why === 'too large' && smaller < smallest) throw error;
      const stands =
        session && why === 'broken' ? await whereItStands(connection, session) : undefined;
      if (stands === undefined && (await isThere().catch(() => false))) return;
      failures = why === 'too large' || (stands?.offset ?? 0) > reached ? 1 : failures + 1;
      if (failures >= attempts) throw error;
      reached = Math.max(reached, stands?.offset ?? 0);
      session = stands;
      chunk = Math.max(smallest, smaller);
      await sleep(pause * 2 ** (failures - 1), undefined, signal ? { signal } : {}).catch(() => {});
      throwIfAborted(signal);
    }
  }
}

async function begin({ root, send, expectOk }: Connection, blob: BlobRef): Promise<Session> {
  const url = `${root}/blobs/uploads/`;
  const response = await send(url, () => ({ method: 'POST', headers: { 'content-length': '0' } }));
  await expectOk(response, `take blob ${blob.sha256}`);
  await response.body?.cancel();
  const smallest = Number(response.headers.get('oci-chunk-min-length') ?? 0) || 0;
  return { location: locationOf(response, url), offset: 0, smallest };
}

/** Sends the next chunk. */
async function patch(
  { send, expectOk }: Connection,
  session: Session,
  chunk: number,
  { blob, content, onBytes }: UploadOptions,
): Promise<Session> {
  const { offset, location } = session;
  const end = Math.min(blob.size, offset + Math.max(chunk, session.smallest));
  const response = await send(location, () => ({
    method: 'PATCH',
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - offset),
      'content-range': `${offset}-${end - 1}`,
    },
    ...bodyOf(content, offset, end, onBytes),
  }));
  await expectOk(response, `take a part of blob ${blob.sha256}`);
  await response.body?.cancel();
  // Not what its `Range` says: Amazon's stays at the first chunk. The digest will tell.
  return { ...session, location: locationOf(response, location), offset: end };
}

/** Sends what is missing and the digest. */
async function finish(
  { send, expectOk }: Connection,
  { location, offset }: Session,
  { blob, content, onBytes }: UploadOptions,
): Promise<void> {
  // Appended as text: what the registry has put into the query stays as it is.
  const url = `${location}${location.includes('?') ? '&' : '?'}digest=sha256:${blob.sha256}`;
  const rest = blob.size - offset;
  const response = await send(url, () => ({
    method: 'PUT',
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(rest),
      ...(offset > 0 && rest > 0 ? { 'content-range': `${offset}-${blob.size - 1}` } : {}),
    },
    ...(rest > 0 ? bodyOf(content, offset, blob.size, onBytes) : {}),
  }));
  await expectOk(response, `take blob ${blob.sha256}`);
  await response.body?.cancel();
}

/** Undefined if the registry has dropped the upload, or cannot say. */
async function whereItStands({ send }: Connection, session: Session): Promise<Session | undefined> {
  const response = await send(session.location, () => ({})).catch(() => undefined);
  await response?.body?.cancel();
  if (!response?.ok) return undefined;
  // `0-0` is what an upload of no bytes has in practice.
  const last = Number(/^(?:bytes=)?0-(\d+)$/.exec(response.headers.get('range') ?? '')?.[1] ?? 0);
  const offset = last === 0 ? 0 : last + 1;
  return { ...session, location: locationOf(response, session.location), offset };
}

function locationOf(response: Response, base: string): string {
  return new URL(response.headers.get('location') ?? base, base).href;
}

function bodyOf(
  content: BlobContent,
  start: number,
  end: number,
  onBytes: UploadOptions['onBytes'],
): { body: ReadableStream<Uint8Array>; duplex: 'half' } {
  async function* counted() {
    let done = start;
    for await (const bytes of content(start, end) as AsyncIterable<Uint8Array>) {
      yield bytes;
      done += bytes.length;
      onBytes?.(done);
    }
  }
  const stream = Readable.from(counted(), { objectMode: false });
  return { body: Readable.toWeb(stream) as ReadableStream<Uint8Array>, duplex: 'half' };
}

/** `broken` may go better another time, `too large` in smaller pieces. */
function reasonOf(error: unknown): 'refused' | 'broken' | 'too large' {
  if (!(error instanceof IoError) || error.code !== 'REGISTRY') return 'refused';
  const status = Number(error.context.status ?? 0);
  // 416 is GitHub's for a chunk that is too large, and any registry's for one that it does not expect.
  if (status === 413 || status === 416) return 'too large';
  return status === 0 || status === 408 || status === 429 || status >= 500 ? 'broken' : 'refused';
}
