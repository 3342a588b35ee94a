import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
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

export interface FetchFileOptions {
  readonly url: string;
  /** Where the file goes; meanwhile its bytes lie beside it, in `<path>.part`. */
  readonly path: string;
  readonly sha256: Sha256;
  /** If it is known, more bytes than this are refused as they come. */
  readonly size?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Attempts without any progress before giving up. */
  readonly attempts?: number;
  /** Milliseconds to wait before the second attempt; twice as long before each one after. */
  readonly pause?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number, total: number | undefined) => void) | undefined;
}

const ATTEMPTS = 4;
const PAUSE = 1000;
/** Silence of a server for this long, in milliseconds, is a failure. */
const STALL = 60_000;

/**
 * Fetches a file over HTTP, hashing it as it arrives, and puts it in place once its SHA-256 is right. What
 * an earlier attempt or run has left in `.part` is hashed and continued, if the server can; a `.part` that
 * turns out wrong is dropped, and the whole is fetched again, once. Throws IntegrityError
 * `DOWNLOAD_DIGEST`, IoError `DOWNLOAD` or what the disk says; the part stays for the next run then.
 */
export async function fetchFile(options: FetchFileOptions): Promise<void> {
  const { url, path, attempts = ATTEMPTS, pause = PAUSE, signal } = options;
  checkUrl(url);
  const part = `${path}.part`;
  let hadPart = await sizeOf(part);
  for (let failures = 0; ; ) {
    const before = await sizeOf(part);
    try {
      const found = await fetchOnce(options, part, before);
      if (found === options.sha256) break;
      await rm(part, { force: true });
      if (hadPart === 0) throw wrongDigest(options, found);
      hadPart = 0; // it may have been of another file: once more from the start
    } catch (error) {
      throwIfAborted(signal);
      if (!isTransient(error)) throw asOurs(error, url, path);
      failures = (await sizeOf(part)) > before ? 1 : failures + 1;
      if (failures >= attempts) throw asOurs(error, url, path);
      await sleep(pause * 2 ** (failures - 1), undefined, signal ? { signal } : {}).catch(() => {});
      throwIfAborted(signal);
    }
  }
  try {
    await rename(part, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw osError(error, 'write', path);
  }
}

/** One request, from where the part ends. Resolves to the SHA-256 of the whole. */
async function fetchOnce(
  { url, headers = {}, size, signal, onBytes }: FetchFileOptions,
  part: string,
  have: number,
): Promise<string> {
  const stall = new AbortController();
  const timer = setTimeout(() => stall.abort(new Transient('the server went silent')), STALL);
  const either = signal ? AbortSignal.any([signal, stall.signal]) : stall.signal;
  try {
    const range = have > 0 ? { range: `bytes=${have}-` } : {};
    const response = await fetch(url, {
      headers: { ...headers, ...range, 'accept-encoding': 'identity' },
      signal: either,
    });
    const resumed = response.status === 206 && startsAt(response, have);
    if (have > 0 && response.status === 416) {
      await response.body?.cancel();
      return (await hashFile(part, { signal })).sha256; // nothing is left to fetch, or the part is too long
    }
    if (!response.ok || response.body === null) throw refused(response, url);
    const hash = createHash('sha256');
    let done = 0;
    if (resumed) {
      for await (const chunk of createReadStream(part)) hash.update(chunk as Buffer);
      done = have;
    }
    const length = Number(response.headers.get('content-length') ?? Number.NaN);
    const total = size ?? (Number.isNaN(length) ? undefined : done + length);
    await using handle = await open(part, resumed ? 'r+' : 'w', 0o644);
    for await (const chunk of response.body) {
      timer.refresh();
      if (total !== undefined && done + chunk.length > total) throw tooLong(url, total);
      await writeAll(handle, chunk, done);
      hash.update(chunk);
      done += chunk.length;
      onBytes?.(done, total);
    }
    if (total !== undefined && done < total) throw new Transient('the connection ended early');
    await handle.sync();
    return hash.digest('hex');
  } finally {
    clearTimeout(timer);
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, at, chunk.length - at, position + at);
    at += bytesWritten;
  }
}

/** RFC 9110, 14.4: a server may send another range than was asked for. */
function startsAt(response: Response, offset: number): boolean {
  return response.headers.get('content-range')?.startsWith(`bytes ${offset}-`) === true;
}

/** What may go better another time. */
class Transient extends Error {}

function isTransient(error: unknown): boolean {
  if (error instanceof Transient) return true;
  if (error instanceof RehydrateError) return false;
  // undici: `fetch failed` and `terminated`, with the socket's error as cause.
  return error instanceof TypeError && /fetch failed|terminated/.test(error.message);
}

function refused({ status, statusText }: Response, url: string): Error {
  const text = `the server says ${status} ${statusText}`.trim();
  if (status >= 500 || status === 408 || status === 429) return new Transient(text);
  const hint =
    status === 401 || status === 403
      ? 'check the credentials and what they allow'
      : 'check the location in the stream JSON, or fetch the file by other means';
  return new IoError(`cannot fetch ${url}: ${text}`, {
    code: 'DOWNLOAD',
    context: { url, status },
    hint,
  });
}

function tooLong(url: string, size: number): FormatError {
  return new FormatError(`${url} is longer than ${size} bytes`, {
    code: 'DOWNLOAD_SIZE',
    context: { url, size },
    hint: 'check that the location serves the file that was released',
  });
}

function wrongDigest({ url, sha256 }: FetchFileOptions, found: string): IntegrityError {
  return new IntegrityError(`${url} does not have its SHA-256`, {
    code: 'DOWNLOAD_DIGEST',
    context: { url, expected: sha256, found },
    hint: 'check that the location serves the file that was released',
  });
}

function asOurs(error: unknown, url: string, path: string): unknown {
  const ours = osError(error, 'write', `${path}.part`);
  if (ours instanceof RehydrateError) return ours;
  const said = error instanceof Error ? error.message : String(error);
  const why = error instanceof Error && error.cause instanceof Error ? error.cause.message : said;
  return new IoError(`cannot fetch ${url}: ${why}`, {
    code: 'DOWNLOAD',
    context: { url },
    hint: 'check the network and try again: what has arrived is kept',
    cause: error,
  });
}

export function checkUrl(url: string): void {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return;
  throw new UsageError(`${url} cannot be fetched: it is no http or https URL`, {
    code: 'DOWNLOAD_URL',
    hint: 'put the file into the --artifacts folder yourself',
  });
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}
