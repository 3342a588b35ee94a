import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, lstat, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  FormatError,
  IntegrityError,
  IoError,
  RehydrateError,
  throwIfAborted,
  UsageError,
} from '../errors.ts';
import { syncFolder } from '../io/atomic.ts';
import type { Sha256 } from '../io/digest.ts';
import { hashFile } from '../io/hash-file.ts';
import { osError } from '../io/os-error.ts';
import { openPart, type Part } from '../io/part.ts';
import { createHttp, type Http, type HttpResponse } from './client.ts';
import { needSpace } from './free-space.ts';
import { shown } from './origin.ts';
import { type Answer, readAnswer } from './ranges.ts';
import { backOff, isTransient, isTransientStatus, Refused, retryAfterOf } from './retry.ts';
import { TransportError } from './transport-error.ts';

/** Requests the file once, with these headers in addition to the caller's credentials. */
export type Get = (headers: Readonly<Record<string, string>>) => Promise<HttpResponse>;

export interface FetchFileOptions {
  readonly url: string;
  /** How to request it; a plain request by default. */
  readonly get?: Get | undefined;
  readonly http?: Http | undefined;
  /** Path of the file; while it is incomplete, its bytes are in `<path>.part`. */
  readonly path: string;
  readonly sha256: Sha256;
  /** If it is known, a file of another size is refused. */
  readonly size?: number | undefined;
  /** Maximum size in bytes, if the size is not known. */
  readonly limit?: number | undefined;
  /** Attempts without any progress before giving up. */
  readonly attempts?: number | undefined;
  /** Milliseconds to wait before the second attempt; twice as long before each one after. */
  readonly pause?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number, total: number | undefined) => void) | undefined;
}

/** Far larger than any released file. */
const LIMIT = 256 * 2 ** 30;
/**
 * Fewer bytes do not count as progress, or a server could keep us busy forever with a few bytes per
 * connection.
 */
const PROGRESS = 64 << 10;
/** Bytes between two looks at the free space. */
const LOOK = 64 << 20;

/** State of a file over several requests. */
interface State {
  readonly part: Part;
  /** Not all bytes of the part come from the same request. */
  mixed: boolean;
  /** `ETag` of the bytes in the part. */
  etag: string | undefined;
  total: number | undefined;
  /** The server is known to start from the first byte each time. */
  noRanges: boolean;
}

/**
 * Fetches a file over HTTP, hashing it as it arrives, and puts it in place once its SHA-256 is right. What
 * an earlier attempt or run has left in `.part` is hashed and continued, if the server can; a `.part` that
 * turns out wrong is dropped, and the whole is fetched again, once. Throws IntegrityError
 * `DOWNLOAD_DIGEST`, FormatError `DOWNLOAD_SIZE`, IoError `DOWNLOAD` or what the disk says. A part that a later
 * run can continue stays, any other is removed.
 */
export async function fetchFile(options: FetchFileOptions): Promise<void> {
  const { url, path, signal, http = createHttp() } = options;
  checkUrl(url);
  // A mirror may redirect to one without TLS: the digest proves the bytes.
  const plainly: Get = (headers) => http.request(url, { headers, signal, downgrade: true });
  const get = options.get ?? plainly;
  await using part = await openPart(`${path}.part`, signal);
  if (part.waited && (await isThere(path, options))) {
    await rm(part.path, { force: true });
    return;
  }
  const state: State = {
    part,
    ...{ mixed: false, etag: undefined, total: undefined, noRanges: false },
  };
  try {
    for (let failures = 0, reached = 0, restarted = false; ; ) {
      try {
        const found = await fetchOnce({ ...options, get }, state);
        if (found === options.sha256) break;
        await part.handle.truncate(0);
        if (!state.mixed || restarted) throw wrongDigest(options, found);
        restarted = true;
        state.mixed = false;
        state.etag = undefined;
      } catch (error) {
        throwIfAborted(signal);
        if (!isTransient(error)) throw error;
        const have = await sizeOf(part);
        failures = have >= reached + PROGRESS ? 1 : failures + 1;
        reached = Math.max(reached, have);
        await backOff(error, failures, options);
      }
    }
    await rename(part.path, path);
    await syncFolder(dirname(path));
  } catch (error) {
    const ours = asOurs(error, url, path);
    if (isUseless(ours, state) || (await sizeOf(part)) === 0) await rm(part.path, { force: true });
    throw ours;
  }
}

/** Another process that had the part has finished it. */
async function isThere(path: string, { sha256, signal }: FetchFileOptions): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isFile() === true && (await hashFile(path, { signal })).sha256 === sha256;
}

const sizeOf = async ({ handle }: Part) => (await handle.stat()).size;

/** Whether a part is useless for a later run. */
function isUseless(error: unknown, { noRanges, total }: State): boolean {
  if (error instanceof FormatError || error instanceof IntegrityError || noRanges) return true;
  // It may never end, and would take all free space.
  return error instanceof IoError && error.code === 'DISK_FULL' && total === undefined;
}

/** One request, from where the part ends. Resolves to the SHA-256 of the whole. */
async function fetchOnce(
  options: FetchFileOptions & { readonly get: Get },
  state: State,
): Promise<string> {
  const { url, get, signal, size, onBytes, limit = size ?? LIMIT } = options;
  const { path: part, handle } = state.part;
  const have = (await handle.stat()).size;
  const from = have > limit || state.noRanges ? 0 : have;
  using response = await get({
    ...(from > 0 ? { range: `bytes=${from}-` } : {}),
    ...(from > 0 && state.etag ? { 'if-range': state.etag } : {}),
  });
  if (response.status >= 300 && response.status !== 416) throw refusedBy(response, url);
  const answer: Answer = readAnswer(response, from, state);
  if (answer.kind === 'complete') {
    const whole = createHash('sha256');
    await hashStart(handle, from, whole, signal);
    state.mixed = true;
    return whole.digest('hex');
  }
  if (answer.kind === 'other') {
    await handle.truncate(0);
    state.etag = undefined;
    throw new TransportError(
      'the server sends a different part of the file from the one requested',
    );
  }
  const isChanged = state.etag !== undefined && answer.etag !== state.etag;
  if (answer.noRanges || (from > answer.start && !isChanged)) state.noRanges = true;
  const total = size ?? answer.total;
  state.total = total;
  state.etag = answer.etag;
  if ((answer.total ?? 0) > limit) throw tooLong(url, limit);
  if (size !== undefined && answer.total !== undefined && answer.total !== size) {
    throw otherSize(url, size, answer.total);
  }
  const { start } = answer;
  if (total !== undefined) await needSpace(part, total - start, shown(url));
  const hash = createHash('sha256');
  if (start > 0) {
    await hashStart(handle, start, hash, signal);
    state.mixed = true;
  }
  await handle.truncate(start);
  let done = start;
  let looked = start;
  for await (const chunk of response.body) {
    if (done + chunk.length > (total ?? limit)) throw tooLong(url, total ?? limit);
    if (done - looked >= LOOK) {
      await needSpace(part, chunk.length, shown(url));
      looked = done;
    }
    await writeAll(handle, chunk, done);
    hash.update(chunk);
    done += chunk.length;
    onBytes?.(done, total);
  }
  if (total !== undefined && done < total) throw new TransportError('the connection ended early');
  await handle.sync();
  return hash.digest('hex');
}

async function hashStart(
  handle: FileHandle,
  length: number,
  hash: Hash,
  signal: AbortSignal | undefined,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(1 << 20);
  for (let at = 0; at < length; ) {
    throwIfAborted(signal);
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, length - at), at);
    if (bytesRead === 0) throw new TransportError('the part has changed in the meantime');
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, at, chunk.length - at, position + at);
    at += bytesWritten;
  }
}

/** The error that an answer other than a success stands for. */
export function refusedBy(response: HttpResponse, url: string): Error {
  const { status, statusText } = response;
  const text = `the server says ${status} ${statusText}`.trim();
  if (isTransientStatus(status)) return new Refused(text, status, retryAfterOf(response));
  const hint =
    status === 401 || status === 403
      ? 'check the credentials and what they allow'
      : 'check the location in the stream JSON, or fetch the file by other means';
  return new IoError(`cannot fetch ${shown(url)}: ${text}`, {
    code: 'DOWNLOAD',
    context: { url: shown(url), status },
    hint,
  });
}

function tooLong(url: string, size: number): FormatError {
  return new FormatError(`${shown(url)} is longer than ${size} bytes`, {
    code: 'DOWNLOAD_SIZE',
    context: { url: shown(url), size },
    hint: 'check that the location serves the file that was released',
  });
}

function otherSize(url: string, size: number, found: number): FormatError {
  return new FormatError(`${shown(url)} has ${found} bytes instead of ${size}`, {
    code: 'DOWNLOAD_SIZE',
    context: { url: shown(url), size, found },
    hint: 'check that the location serves the file that was released',
  });
}

function wrongDigest({ url, sha256 }: FetchFileOptions, found: string): IntegrityError {
  return new IntegrityError(`${shown(url)} does not have its SHA-256`, {
    code: 'DOWNLOAD_DIGEST',
    context: { url: shown(url), expected: sha256, found },
    hint: 'check that the location serves the file that was released',
  });
}

function asOurs(error: unknown, url: string, path: string): unknown {
  const ours = osError(error, 'write', `${path}.part`);
  if (ours instanceof RehydrateError || !(error instanceof TransportError)) return ours;
  const wait = error instanceof Refused ? error.retryAfter : undefined;
  const later =
    wait === undefined ? '' : `; it asks to come back in ${Math.ceil(wait / 1000)} seconds`;
  return new IoError(`cannot fetch ${shown(url)}: ${error.message}${later}`, {
    code: 'DOWNLOAD',
    context: { url: shown(url) },
    hint:
      error.hint ??
      'check the network and try again: what has arrived is kept if the server can continue it',
    cause: error.cause,
  });
}

export function checkUrl(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new UsageError(`${url} cannot be fetched: it is not an http or https URL`, {
    code: 'DOWNLOAD_URL',
    hint: 'put the file into the --artifacts folder yourself',
  });
}
