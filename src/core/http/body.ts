import type { IncomingMessage } from 'node:http';
import { FormatError } from '../errors.ts';
import { TransportError, transportError } from './transport-error.ts';

/** Bytes that a server has to send for each minute that it is waited for; less is a server that plays for time. */
const SLOWEST = 64 << 10;
const MINUTE = 60_000;
/** For a body that is read whole, from its first byte to its last, in milliseconds. */
const WHOLE = 180_000;

export interface BodyOptions {
  /** Milliseconds without a byte. */
  readonly idle: number;
  /** What time `SLOWEST` is for. */
  readonly minute?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The bytes of an answer as they come, and as the server sent them: nothing is decoded but the transfer coding. Ends
 * normally only if the answer is whole. Time that the reader takes does not count against the server.
 */
export async function* bodyOf(
  response: IncomingMessage,
  { idle, minute = MINUTE, signal }: BodyOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const iterator = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const silent = () => response.destroy(new TransportError('the server went silent'));
  const abort = () => response.destroy(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  let waited = 0;
  let bytes = 0;
  try {
    if (signal?.aborted) throw signal.reason;
    for (;;) {
      const timer = setTimeout(silent, idle);
      const since = performance.now();
      const { value, done } = await iterator.next().finally(() => clearTimeout(timer));
      if (done) break;
      waited += performance.now() - since;
      bytes += value.length;
      if (waited >= minute) {
        if (bytes < SLOWEST) throw new TransportError('the server sends too slowly');
        waited = 0;
        bytes = 0;
      }
      yield value;
    }
    if (!response.complete) throw new TransportError('the connection ended early');
  } catch (error) {
    throw signal?.aborted ? signal.reason : transportError(error);
  } finally {
    signal?.removeEventListener('abort', abort);
    response.destroy();
  }
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
    // What came before it broke off will do.
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(pieces).subarray(0, ERROR_BYTES).toString();
}
