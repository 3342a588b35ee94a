import { createReadStream } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import type { Bundle } from '../../bundle/read.ts';
import { IoError, UsageError } from '../../core/errors.ts';
import { MAX_STREAM_BYTES } from '../../release/stream/read.ts';
import { catalogueOf, rewriteStream, type ServedFile } from './catalogue.ts';
import { type ImageStoreOptions, isShortOfDisk, openImageStore } from './image-store.ts';
import { parseRange } from './range.ts';

export interface ServeOptions extends ImageStoreOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** How clients reach this server, if not by what they say: `https://mirror.example.com`. */
  readonly publicUrl?: string | undefined;
  /** Called for each request that was answered. */
  readonly onRequest?: ((line: RequestLine) => void) | undefined;
}

export interface RequestLine {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Bytes of the body. */
  readonly bytes: number;
  readonly seconds: number;
  readonly error?: unknown;
}

export interface Serving {
  /** `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Resolves when the server has ended: after the signal, with nothing under way any more. */
  readonly ended: Promise<void>;
}

/** Seconds after which it makes sense to ask again. */
const RETRY_AFTER = 120;

/**
 * Serves a release's files by HTTP, and makes each when first asked for: `GET` waits until the image is
 * proved, since no byte goes out before. Serves until the signal. Throws IoError `LISTEN`.
 */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { bundle, host, port, signal } = options;
  const files = catalogueOf(bundle);
  const store = await openImageStore(options);
  const streams = await readStreams(bundle);
  const server = createServer((request, response) => {
    void answer(request, response);
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const path = pathOfRequest(request);
    let failure: unknown;
    try {
      response.setHeader('server', 'iso-rehydrate');
      response.setHeader('x-content-type-options', 'nosniff');
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        return end(response, 405, 'only GET and HEAD');
      }
      const file = path === undefined ? undefined : files.get(path);
      if (file) return await sendFile(request, response, file);
      const stream = path === undefined ? undefined : streams.get(path);
      if (stream === undefined) return end(response, 404, 'there is no such file');
      const rewritten = rewriteStream(stream, bundle, baseUrl(request));
      const body = Buffer.from(`${JSON.stringify(rewritten, undefined, 2)}\n`);
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': body.length,
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    } catch (error) {
      failure = error;
      fail(response, error);
    } finally {
      options.onRequest?.({
        method: request.method ?? '',
        path: path ?? '',
        status: response.statusCode,
        bytes: Number(response.getHeader('content-length') ?? 0),
        seconds: (performance.now() - started) / 1000,
        ...(failure === undefined ? {} : { error: failure }),
      });
    }
  }

  async function sendFile(
    request: IncomingMessage,
    response: ServerResponse,
    file: ServedFile,
  ): Promise<void> {
    const { size, sha256, name } = file.artifact;
    const etag = `"${sha256}"`;
    response.setHeader('etag', etag);
    response.setHeader('accept-ranges', 'bytes');
    response.setHeader('content-type', 'application/octet-stream');
    response.setHeader('cache-control', 'public, max-age=31536000, immutable');
    response.setHeader('content-disposition', `attachment; filename="${name}"`);
    const { range: wanted, 'if-none-match': known, 'if-range': same } = request.headers;
    if (known !== undefined && (known.trim() === '*' || known.includes(etag))) {
      response.writeHead(304).end();
      return;
    }
    const range = same === undefined || same === etag ? parseRange(wanted, size) : undefined;
    if (range === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${size}`);
      return end(response, 416, 'there are no such bytes');
    }
    const { start, end: stop } = range ?? { start: 0, end: size };
    const headers = {
      'content-length': stop - start,
      ...(range ? { 'content-range': `bytes ${start}-${stop - 1}/${size}` } : {}),
    };
    // How large it is is known without making it.
    if (request.method === 'HEAD') {
      response.writeHead(range ? 206 : 200, headers).end();
      return;
    }
    const path = await store.get(file);
    if (response.destroyed) return; // the client has left meanwhile
    response.writeHead(range ? 206 : 200, headers);
    if (start === stop) {
      response.end();
      return;
    }
    await pipeline(createReadStream(path, { start, end: stop - 1, signal }), response);
  }

  function baseUrl({ headers }: IncomingMessage): string {
    if (options.publicUrl !== undefined) return options.publicUrl.replace(/\/+$/, '');
    const said = headers.host ?? '';
    return /^[\w.:[\]-]+$/.test(said) ? `http://${said}` : urlOf(server);
  }

  await listen(server, host, port);
  const ended = new Promise<void>((resolve) => {
    const stop = () => {
      server.close(() => {
        store.idle().then(resolve, resolve);
      });
      server.closeAllConnections();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  return { url: urlOf(server), ended };
}

/** The path without query, decoded once; undefined for what cannot be. */
function pathOfRequest({ url = '' }: IncomingMessage): string | undefined {
  try {
    return decodeURIComponent(url.replace(/[?#].*$/s, ''));
  } catch {
    return undefined;
  }
}

/** Each stream that travels in the bundle, at `/streams/NAME.json`; the first at `/stream.json` too. */
async function readStreams(bundle: Bundle): Promise<Map<string, unknown>> {
  const streams = new Map<string, unknown>();
  for (const { stream } of bundle.recipes) {
    const bytes = await bundle.readWholeBlob(stream, MAX_STREAM_BYTES);
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    for (const path of ['/stream.json', `/streams/${stream.name}.json`]) {
      if (!streams.has(path)) streams.set(path, document);
    }
  }
  return streams;
}

function fail(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy(); // what was promised does not come: the client sees a broken connection
    return;
  }
  response.removeHeader('etag');
  response.removeHeader('cache-control');
  response.removeHeader('content-disposition');
  if (isShortOfDisk(error)) {
    response.setHeader('retry-after', RETRY_AFTER);
    end(response, 503, 'there is no room to make this image now');
  } else {
    end(response, 500, 'the image could not be made; the server’s log says why');
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  const body = Buffer.from(`${text}\n`);
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new IoError(`cannot listen on ${host} port ${port}: ${said}`, {
      code: 'LISTEN',
      context: { host, port },
      hint: 'choose another address with --listen',
      cause: error,
    });
  }
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** `8080`, `127.0.0.1:8080`, `[::1]:8080`, `0.0.0.0:0`. Throws UsageError `LISTEN_ADDRESS`. */
export function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+)):)?(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3] ?? Number.NaN);
  if (Number.isNaN(port) || port > 65_535) {
    throw new UsageError(`${text} is no address to listen on`, {
      code: 'LISTEN_ADDRESS',
      hint: 'give a port, or host and port: 8080, 0.0.0.0:8080, [::1]:8080',
    });
  }
  return { host: match?.[1] ?? match?.[2] ?? '127.0.0.1', port };
}
