import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { notPulled } from '../../bundle/pulled.ts';
import type { Bundle } from '../../bundle/read.ts';
import { baseOf, MAX_SIGNATURE, type Recipes } from '../../bundle/recipes.ts';
import { isUntrusted } from '../../bundle/trust.ts';
import { RehydrateError } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { isMetaDocument } from '../../release/stream/meta.ts';
import { decodeStream, MAX_STREAM_BYTES } from '../../release/stream/read.ts';
import type { RequestLine } from './access-log.ts';
import { catalogueOf, rewriteStream, type ServedFile } from './catalogue.ts';
import { type ConnectionLimits, limitConnections } from './connections.ts';
import {
  type ImageStoreOptions,
  isPassing,
  type OpenImage,
  openImageStore,
  StillMaking,
} from './image-store.ts';
import { indexPage, PAGE_POLICY } from './index-page.ts';
import { type ListenAt, listen, refuseMalformed, urlOf } from './listen.ts';
import { createMetrics, METRICS_TYPE } from './metrics.ts';
import { chooseFiles, prepare } from './prepare.ts';
import { parseRange } from './range.ts';
import {
  isHost,
  MAX_HEADER,
  MAX_TARGET,
  parsePublicUrl,
  pathOfRequest,
  targetForLog,
} from './request.ts';
import { finish, type Sent, sendBytes, sendFile } from './send.ts';

export interface ServeOptions extends ImageStoreOptions {
  readonly listen: ListenAt;
  /**
   * URL at which clients reach this server, if not given by their Host header:
   * `https://mirror.example.com`.
   */
  readonly publicUrl?: string | undefined;
  /** Names of platforms or artifacts, or `all`, whose files are made at once, before they are requested. */
  readonly prepare?: readonly string[] | undefined;
  /** Seconds after which a request that waits for a file is answered with 503; undefined means no limit. */
  readonly wait?: number | undefined;
  /** Connections at a time, and how long a client may take nothing. */
  readonly connections?: ConnectionLimits | undefined;
  /** Called with errors that keep the server from accepting connections for a while. */
  readonly onError?: ((error: unknown) => void) | undefined;
  /** Called for each answered request. */
  readonly onRequest?: ((line: RequestLine) => void) | undefined;
}

export interface Serving {
  /** `http://127.0.0.1:8080`. */
  readonly url: string;
  /** How many there are. */
  readonly files: number;
  /** Resolves when the files to prepare were made, or failed, which was reported. */
  readonly prepared: Promise<void>;
  /** Resolves when the server has ended: after the signal, with no request in progress. */
  readonly ended: Promise<void>;
}

/** Seconds after which it makes sense to ask again. */
const RETRY_AFTER = 120;
const RETRY_SOON = 5;
const RETRY_MAKING = 10;
/** Milliseconds that a client has to send a request's head, and that a connection may be idle between requests. */
const HEAD_TIME = 15_000;
const IDLE_TIME = 15_000;

/**
 * Serves a release's files over HTTP, and makes each on first request: `GET` waits until the image is
 * proved, and no byte is sent before. Serves until the signal. Throws IoError `LISTEN`, UsageError
 * `PUBLIC_URL`.
 */
export async function serve(options: ServeOptions): Promise<Serving> {
  const { bundle, signal } = options;
  const publicUrl = options.publicUrl === undefined ? undefined : parsePublicUrl(options.publicUrl);
  const servable = await servableOf(options);
  const { files, signatures, reasons } = catalogueOf(servable);
  const first = chooseFiles(options.prepare ?? [], files.values());
  const metrics = createMetrics();
  const store = await openImageStore({ ...options, onMade: metrics.made });
  const streams = await readStreams(bundle);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER,
      headersTimeout: HEAD_TIME,
      requestTimeout: HEAD_TIME,
      keepAliveTimeout: IDLE_TIME,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      void answer(request, response);
    },
  );
  const connections = limitConnections(server, options.connections);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const time = Date.now();
    const { socket } = request;
    const { remoteAddress: client } = socket;
    const sent: Sent = {
      bytes: 0,
      take(bytes) {
        sent.bytes += bytes;
        connections.took(socket, bytes);
      },
    };
    connections.begin(socket);
    response.on('error', () => {}); // the client has left: its socket closes
    let failure: unknown;
    try {
      await route(request, response, sent);
    } catch (error) {
      if (!(error instanceof StillMaking)) failure = error;
      await fail(response, error, sent).catch(() => {});
    } finally {
      connections.done(socket);
      metrics.answered(response.statusCode, sent.bytes);
      options.onRequest?.({
        client,
        method: request.method ?? '',
        path: targetForLog(request),
        http: request.httpVersion,
        status: response.statusCode,
        bytes: sent.bytes,
        time,
        seconds: (performance.now() - started) / 1000,
        ...(failure === undefined ? {} : { error: failure }),
      });
    }
  }

  async function route(
    request: IncomingMessage,
    response: ServerResponse,
    sent: Sent,
  ): Promise<void> {
    response.setHeader('server', 'iso-rehydrate');
    response.setHeader('x-content-type-options', 'nosniff');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      response.setHeader('connection', 'close'); // its body is not read
      return end(response, 405, 'only GET and HEAD', sent);
    }
    if ((request.url ?? '').length > MAX_TARGET) return end(response, 414, 'too long', sent);
    if (!isHost(request.headers.host ?? urlOf(server).slice('http://'.length))) {
      return end(response, 400, 'the Host header is malformed', sent);
    }
    const path = pathOfRequest(request);
    const file = path === undefined ? undefined : files.get(path);
    if (file) return answerFile(request, response, file, sent);
    const signature = path === undefined ? undefined : signatures.get(path);
    if (signature) {
      const body = await bundle.readWholeBlob(signature, MAX_SIGNATURE, signal);
      return sendBody(response, body, 'application/pgp-signature', sent);
    }
    const stream = path === undefined ? undefined : streams.get(path);
    if (stream !== undefined) {
      const rewritten = rewriteStream(stream, servable, baseUrl(request));
      const body = Buffer.from(`${JSON.stringify(rewritten, undefined, 2)}\n`);
      // Its locations are those that this client can reach.
      response.setHeader('vary', 'Host');
      return sendBody(response, body, 'application/json', sent);
    }
    if (path === '/') {
      const page = await indexPage(files.values(), { store, base: baseUrl(request), streams });
      response.setHeader('vary', 'Host');
      response.setHeader('content-security-policy', PAGE_POLICY);
      return sendBody(response, Buffer.from(page), 'text/html; charset=utf-8', sent);
    }
    if (path === '/healthz') {
      return sendBody(response, Buffer.from('ok\n'), 'text/plain; charset=utf-8', sent);
    }
    if (path === '/metrics') {
      const text = metrics.render(await gauges());
      return sendBody(response, Buffer.from(text), METRICS_TYPE, sent);
    }
    const reason = path === undefined ? undefined : reasons.get(path);
    return end(response, 404, reason ?? 'no such file', sent);
  }

  async function gauges() {
    const now = { files: files.size, kept: 0, making: 0, keptBytes: 0 };
    const counted = new Set<string>();
    for (const served of files.values()) {
      const { sha256, size } = served.file;
      if (counted.has(sha256)) continue;
      counted.add(sha256);
      const state = await store.stateOf(served);
      if (state === 'making') now.making += 1;
      if (state !== 'kept') continue;
      now.kept += 1;
      now.keptBytes += size;
    }
    return now;
  }

  function sendBody(response: ServerResponse, body: Buffer, type: string, sent: Sent) {
    response.writeHead(200, {
      'content-type': type,
      'content-length': body.length,
      'cache-control': 'no-cache',
    });
    return sendWhole(response, body, sent);
  }

  async function answerFile(
    request: IncomingMessage,
    response: ServerResponse,
    file: ServedFile,
    sent: Sent,
  ): Promise<void> {
    const { size, sha256, name } = file.file;
    const etag = `"${sha256}"`;
    const { range: wanted, 'if-none-match': known, 'if-range': same } = request.headers;
    const isHead = request.method === 'HEAD';
    const isWhole = isHead || (same !== undefined && same !== etag);
    const range = isWhole ? undefined : parseRange(wanted, size);
    response.setHeader('accept-ranges', 'bytes');
    response.setHeader('etag', etag);
    if (range === 'unsatisfiable' && !matches(known, etag)) {
      response.setHeader('content-range', `bytes */${size}`);
      return end(response, 416, 'range not satisfiable', sent);
    }
    response.setHeader('cache-control', 'public, max-age=31536000, immutable');
    if (matches(known, etag)) {
      response.writeHead(304);
      return finish(response);
    }
    response.setHeader('content-type', 'application/octet-stream');
    response.setHeader('content-disposition', `attachment; filename="${name}"`);
    const part = range === undefined || range === 'unsatisfiable' ? undefined : range;
    const { start, end: stop } = part ?? { start: 0, end: size };
    const headers = {
      'content-length': stop - start,
      ...(part ? { 'content-range': `bytes ${start}-${stop - 1}/${size}` } : {}),
    };
    // The size is known without making the image.
    if (isHead) {
      response.writeHead(200, headers);
      return finish(response);
    }
    const image = await openInTime(file);
    await using _handle = image.handle;
    if (response.destroyed) return; // the client has gone
    response.writeHead(part ? 206 : 200, headers);
    connections.sending(request.socket);
    await sendFile(response, image, { start, end: stop }, sent);
  }

  /** Throws {@link StillMaking} once the time to wait is over. */
  async function openInTime(file: ServedFile): Promise<OpenImage> {
    const opening = store.open(file);
    if (options.wait === undefined) return opening;
    const waited = new AbortController();
    const late = sleep(options.wait * 1000, 'late' as const, { signal: waited.signal });
    late.catch(() => {}); // the file was in time
    try {
      const first = await Promise.race([opening, late]);
      if (first !== 'late') return first;
    } finally {
      waited.abort();
    }
    // The file is made anyway, but nothing waits for it here.
    opening.then(({ handle }) => handle.close()).catch(() => {});
    throw new StillMaking();
  }

  async function sendWhole(response: ServerResponse, body: Buffer, sent: Sent): Promise<void> {
    connections.sending(response.req.socket);
    if (response.req.method !== 'HEAD') await sendBytes(response, body, sent);
    await finish(response);
  }

  async function end(
    response: ServerResponse,
    status: number,
    text: string,
    sent: Sent,
  ): Promise<void> {
    const body = Buffer.from(`${text}\n`);
    response.writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-store',
      'content-length': body.length,
    });
    return sendWhole(response, body, sent);
  }

  async function fail(response: ServerResponse, error: unknown, sent: Sent): Promise<void> {
    if (response.headersSent || response.destroyed) {
      response.destroy(); // the promised bytes cannot be sent: the client sees a broken connection
      return;
    }
    for (const name of ['etag', 'cache-control', 'content-disposition', 'accept-ranges']) {
      response.removeHeader(name);
    }
    if (error instanceof StillMaking) {
      response.setHeader('retry-after', RETRY_MAKING);
      return end(response, 503, 'this file is being made: ask again', sent);
    }
    if (!isPassing(error)) {
      return end(response, 500, 'the image could not be made; the server’s log says why', sent);
    }
    const isRoom = error instanceof RehydrateError && error.code === 'DISK_FULL';
    response.setHeader('retry-after', isRoom ? RETRY_AFTER : RETRY_SOON);
    return end(response, 503, isRoom ? NO_ROOM : 'the server is busy: ask again', sent);
  }

  function baseUrl({ headers }: IncomingMessage): string {
    if (publicUrl !== undefined) return publicUrl;
    return headers.host === undefined ? urlOf(server) : `http://${headers.host}`;
  }

  server.on('clientError', refuseMalformed);
  await listen(server, options.listen);
  // accept(2) fails while too many files are open; the next one may work again.
  server.on('error', (error) => {
    options.onError?.(osError(error, 'accept connections on', urlOf(server)));
  });
  const ended = new Promise<void>((resolve) => {
    const stop = () => {
      connections[Symbol.dispose]();
      server.close(() => {
        store.idle().then(resolve, resolve);
      });
      server.closeAllConnections();
    };
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  const prepared = prepare(first, store, options);
  return { url: urlOf(server), files: files.size, prepared, ended };
}

const NO_ROOM = 'there is no room to make this image now';

/** RFC 9110, 13.1.2: a list of entity tags, weak or not, or `*`. */
function matches(known: string | undefined, etag: string): boolean {
  if (known === undefined) return false;
  return known.split(',').some((one) => ['*', etag, `W/${etag}`].includes(one.trim()));
}

/** The bundle without the artifacts that were not pulled and so cannot be served. */
async function servableOf(options: ServeOptions): Promise<Bundle> {
  const { bundle, isoPaths = [], containers, progress } = options;
  const hasContainers = (containers?.names.length ?? 0) > 0;
  const recipes: Recipes[] = [];
  for (const one of bundle.recipes) {
    const absent = await notPulled(bundle, one);
    // Without a container, an ISO outside the bundle is opened when it is needed.
    const isOutside = hasContainers && !one.iso.embedded;
    const noIso = (absent.iso || isOutside) && isoPaths.length === 0;
    const artifacts = one.artifacts.filter((artifact) => {
      const isBased = !noIso || (hasContainers && baseOf(artifact) !== 'iso');
      return isBased && !absent.artifacts.has(artifact);
    });
    const vouched = artifacts.filter((artifact) => !isUntrusted(bundle, one, artifact));
    if (vouched.length < artifacts.length) {
      const message = `left out ${artifacts.length - vouched.length} files: no trusted stream has them`;
      progress({ type: 'note', subject: one.architecture, message });
    }
    const count = one.artifacts.length - artifacts.length;
    if (count > 0) {
      const isoWhy = `its ISO ${isOutside ? 'is not in the bundle' : 'was not pulled'}: name it with --iso`;
      const why = noIso ? isoWhy : 'not pulled';
      const message = `left out ${count} of ${one.artifacts.length} files: ${why}`;
      progress({ type: 'note', subject: one.architecture, message });
    }
    recipes.push({ ...one, artifacts: vouched });
  }
  return { ...bundle, recipes };
}

/** Each stream that travels in the bundle, at `/streams/NAME.json`; the first at `/stream.json` too. */
async function readStreams(bundle: Bundle): Promise<Map<string, unknown>> {
  const streams = new Map<string, unknown>();
  for (const { stream } of bundle.recipes) {
    const bytes = await bundle.readWholeBlob(stream, MAX_STREAM_BYTES);
    const document: unknown = JSON.parse(bytes.toString('utf8'));
    // Clients of a stream do not know build metadata.
    const isMeta = typeof document === 'object' && document !== null && isMetaDocument(document);
    const served = isMeta ? decodeStream(bytes, stream.name) : document;
    for (const path of ['/stream.json', `/streams/${stream.name}.json`]) {
      if (!streams.has(path)) streams.set(path, served);
    }
  }
  return streams;
}
