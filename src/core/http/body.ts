import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { FormatError } from '../errors.ts';
import { TransportError, transportError } from './transport-error.ts';

/** Bytes that a server must send per minute of waiting; a slower server may be stalling on purpose. */
const SLOWEST = 64 << 10;
/** Limit in milliseconds for reading a whole body, from its first byte to its last. */
const WHOLE = 180_000;

export interface BodyOptions {
  /** Milliseconds without a byte. */
  readonly idle: number;
  /** Milliseconds that {@link SLOWEST} is for. */
  readonly minute: number;
  readonly signal?: AbortSignal | undefined;
}

export interface Body {
  /**
   * The bytes as they come, and as the server sent them: nothing is decoded but the transfer coding. Ends normally only
   * if the answer is whole. Time that the reader takes does not count against the server. May be read once.
   */
  readonly bytes: AsyncIterable<Buffer>;
  /** Ends it, wherever it is. */
  discard(): void;
}

/** Limit of buffered bytes of an answer. */
const AHEAD = 256 << 10;
const SMALL = 64 << 10;
/** Milliseconds for reading an unused small rest. */
const SOON = 2000;

/**
 * Takes a body over as soon as its headers are there: what has arrived of it stays when the connection breaks off
 * before it is read, which a stream of Node's would drop.
 */
export function openBody(message: IncomingMessage, options: BodyOptions): Body {
  const { idle, minute, signal } = options;
  const queue: Buffer[] = [];
  let queued = 0;
  let end: 'whole' | Error | undefined;
  let wake: () => void = () => {};
  let unwanted = false;
  const finish = (how: 'whole' | Error) => {
    end ??= how;
    wake();
  };
  message.on('data', (bytes: Buffer) => {
    if (unwanted) return;
    queue.push(bytes);
    queued += bytes.length;
    if (queued >= AHEAD) message.pause();
    wake();
  });
  const early = () => new TransportError('the connection ended early');
  message.on('end', () => finish(message.complete ? 'whole' : early()));
  message.on('error', (error) => finish(transportError(error)));
  message.on('close', () => finish(early()));

  async function* bytes(): AsyncGenerator<Buffer, void, undefined> {
    const abort = () => message.destroy(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    let waited = 0;
    let got = 0;
    try {
      for (;;) {
        if (signal?.aborted) throw signal.reason;
        const next = queue.shift();
        if (next) {
          queued -= next.length;
          got += next.length;
          if (queued < AHEAD) message.resume();
          yield next;
        } else if (end === 'whole') {
          return;
        } else if (end !== undefined) {
          throw end;
        } else {
          waited += await arrival();
          if (waited < minute) continue;
          if (got < SLOWEST) throw new TransportError('the server sends too slowly');
          waited = 0;
          got = 0;
        }
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      discard();
    }
  }

  /** Resolves to the milliseconds until something has come. */
  async function arrival(): Promise<number> {
    const since = performance.now();
    const late = new TransportError('the server went silent');
    const timer = setTimeout(() => message.destroy(late), idle);
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    clearTimeout(timer);
    return performance.now() - since;
  }

  /**
   * Reads a small rest, so that the connection can be reused; reading a large one costs more than a new
   * connection.
   */
  function discard(): void {
    unwanted = true;
    queue.length = 0;
    if (message.readableEnded || message.destroyed) return;
    if (!message.complete && !(Number(message.headers['content-length']) <= SMALL)) {
      message.destroy();
      return;
    }
    message.resume();
    const timer = setTimeout(() => message.destroy(), SOON);
    timer.unref();
    message.once('close', () => clearTimeout(timer));
  }

  return { bytes: bytes(), discard };
}

/** A source of bytes with a limit: an answer of HTTP. */
export interface Readable {
  readonly url: string;
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * The body of an answer whole, if it has at most `limit` bytes and comes in a few minutes. Throws FormatError
 * `TOO_LARGE`, TransportError.
 */
export async function readBody(
  { url, body }: Readable,
  limit: number,
  what: string,
  within = WHOLE,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const end = performance.now() + within;
  let length = 0;
  for await (const piece of body) {
    length += piece.length;
    if (length > limit) {
      throw new FormatError(`the server sends more than ${limit} bytes for ${what}`, {
        code: 'TOO_LARGE',
        context: { url, limit },
        hint: 'check the location',
      });
    }
    pieces.push(piece);
    if (performance.now() > end) throw new TransportError('the server sends too slowly');
  }
  return Buffer.concat(pieces);
}

/**
 * As {@link readBody}, for JSON of a server that compresses it unasked, as some proxies in front of registries do; Go's
 * HTTP client decodes that, and with it skopeo. JSON itself never begins like gzip.
 */
export async function readDocument(
  response: Readable & { header(name: string): string | undefined },
  limit: number,
  what: string,
): Promise<Buffer> {
  const bytes = await readBody(response, limit, what);
  const coding = response.header('content-encoding')?.trim().toLowerCase();
  const isGzip =
    (coding === 'gzip' || coding === 'x-gzip') &&
    bytes.length > 2 &&
    bytes.readUInt16BE(0) === GZIP;
  if (!isGzip) return bytes;
  try {
    return await inflate(bytes, { maxOutputLength: limit });
  } catch (error) {
    throw new FormatError(`the server sends ${what} as gzip that cannot be unpacked`, {
      code: 'TOO_LARGE',
      context: { url: response.url, limit },
      hint: 'check the location',
      cause: error,
    });
  }
}

const GZIP = 0x1f8b;
const inflate = promisify(gunzip);

const ERROR_BYTES = 16 << 10;
const ERROR_TIME = 5000;

/** The beginning of an answer that says why something was refused, for people; the rest is not awaited. */
export async function readExcerpt({ body }: Readable): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const iterator = body[Symbol.asyncIterator]();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ERROR_TIME, undefined);
  });
  try {
    while (length < ERROR_BYTES) {
      const next = await Promise.race([iterator.next(), late]);
      if (next === undefined || next.done) break;
      pieces.push(next.value);
      length += next.value.length;
    }
  } catch {
    // The part that arrived is enough.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(pieces).subarray(0, ERROR_BYTES).toString();
}
