import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Route } from './agents.ts';
import { TransportError, transportError } from './transport-error.ts';

/** Milliseconds. */
export interface Timeouts {
  /** Until a connection stands, with TLS and the tunnel through a proxy. */
  readonly connect: number;
  /** From the end of the request to the end of the headers of its answer. */
  readonly headers: number;
  /** Without any byte, in either direction. */
  readonly idle: number;
  /** The period in which a server must make progress; see `SLOWEST`. */
  readonly minute: number;
}

/** Called for a new body each time that a request is sent. */
export type MakeBody = () => AsyncIterable<Uint8Array>;

export interface ExchangeOptions {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: MakeBody | undefined;
  readonly timeouts: Timeouts;
  readonly signal?: AbortSignal | undefined;
}

/** The request body could not be read; `cause` says why. */
export class BodyError extends Error {}

/**
 * One request and the headers of its answer. The answer's body flows only as fast as it is read, and whoever gets it
 * has to read it to its end or destroy it. Throws TransportError, BodyError, or the reason of `signal`.
 */
export function exchange(
  { tls, options }: Route,
  { method, headers, body, timeouts, signal }: ExchangeOptions,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const request = begin(tls ? https : http, {
      ...options,
      method,
      headers: { ...options.headers, ...headers },
    });
    let timer: NodeJS.Timeout | undefined;
    const arm = (milliseconds: number, error: () => Error) => {
      clearTimeout(timer);
      timer = setTimeout(() => request.destroy(error()), milliseconds);
    };
    const silent = () => new TransportError('the server went silent');
    const abort = () => request.destroy(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    const settled = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    };

    let sent = body === undefined;
    let answered = false;
    arm(timeouts.connect, () => new TransportError('no connection in time', { unreached: true }));
    const connected = () => {
      if (!answered) arm(sent ? timeouts.headers : timeouts.idle, silent);
    };
    request.once('socket', (socket) => {
      const open = tls ? 'secureConnect' : 'connect';
      const isOpen =
        request.reusedSocket ||
        !(socket.connecting || ('secureConnecting' in socket && socket.secureConnecting));
      if (isOpen) connected();
      else socket.once(open, connected);
    });
    // Never removed: a failure after the headers also shows in the body.
    request.on('error', (error) => {
      settled();
      if (signal?.aborted) reject(signal.reason);
      else if (error instanceof BodyError) reject(error);
      else reject(request.reusedSocket ? staleOr(error) : transportError(error));
    });
    request.on('information', () => {});
    request.once('upgrade', () =>
      request.destroy(new TransportError('the server changes protocol')),
    );
    request.once('response', (response) => {
      answered = true;
      settled();
      response.on('error', () => {});
      // An answer that comes before the request is through: the rest is not sent, nor the connection used again.
      if (!sent) response.once('close', () => request.destroy());
      resolve(response);
    });

    if (body === undefined) {
      request.end();
      return;
    }
    send(body).catch((error: unknown) => {
      request.destroy(error instanceof Error ? error : new Error(String(error)));
    });

    async function send(make: MakeBody): Promise<void> {
      for await (const piece of pieces(make)) {
        if (answered || request.destroyed) return;
        if (!request.write(piece)) await drained();
        if (answered || request.destroyed) return;
        arm(request.socket?.connecting ? timeouts.connect : timeouts.idle, silent);
      }
      sent = true;
      request.end(() => {
        if (!answered && !request.destroyed) arm(timeouts.headers, silent);
      });
    }

    function drained(): Promise<void> {
      return new Promise((go) => {
        const end = () => {
          for (const name of ['drain', 'close', 'response']) request.off(name, end);
          go();
        };
        for (const name of ['drain', 'close', 'response']) request.once(name, end);
      });
    }
  });
}

/** Headers may contain data from a server, such as a token; Node refuses characters that HTTP cannot carry. */
function begin(
  protocol: typeof http | typeof https,
  options: http.RequestOptions,
): http.ClientRequest {
  try {
    return protocol.request(options);
  } catch (error) {
    throw new TransportError('the request cannot be written', { transient: false, cause: error });
  }
}

/** So small that a slow network shows progress. */
const PIECE = 64 << 10;

async function* pieces(make: MakeBody): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of make()) {
      for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
    }
  } catch (error) {
    throw new BodyError('the data to send cannot be read', { cause: error });
  }
}

/**
 * A kept-alive connection that the server has closed: not a failure, since the server has not seen the
 * request.
 */
export class StaleConnection extends TransportError {}

/** For an error on a connection that was kept alive. */
function staleOr(error: Error): Error {
  const ours = transportError(error);
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    return new StaleConnection(ours.message, { cause: error });
  }
  return ours;
}
