import type { IncomingMessage } from 'node:http';
import { createAgents } from './agents.ts';
import { type BodyOptions, openBody } from './body.ts';
import { type ExchangeOptions, exchange, StaleConnection, type Timeouts } from './exchange.ts';
import { isDowngrade, sameOrigin, shown } from './origin.ts';
import type { Environment } from './proxy.ts';
import { TransportError } from './transport-error.ts';
import { systemTrust, type Trust } from './trust.ts';

export interface HttpOptions {
  /** For the variables of proxies and certificates. */
  readonly env?: Environment | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  readonly trust?: Trust | undefined;
}

export interface HttpRequest extends Pick<ExchangeOptions, 'body' | 'signal'> {
  /** `GET` unless given. */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent to the origin of the first URL only, wherever redirects lead. */
  readonly authorization?: string | undefined;
  /**
   * Whether a redirect may lead from https to http: for bytes whose digest is known only, because anybody on the way
   * can change them. Never with a body.
   */
  readonly downgrade?: boolean | undefined;
  /** Refuse redirects to another origin: the body is a secret. */
  readonly sameOrigin?: boolean | undefined;
  /** Another host whose certificates are also accepted; see {@link Trust}. */
  readonly trustAs?: string | undefined;
  /** Milliseconds to wait for the headers of the answer, where that takes the server its time. */
  readonly patience?: number | undefined;
}

/** A response, whatever its status. It must be disposed of: an unread body holds its connection. */
export interface HttpResponse extends Disposable {
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  /** Where the answer came from, after redirects. */
  readonly url: string;
  readonly redirected: boolean;
  /** The first of its kind, by its name in lower case. */
  header(name: string): string | undefined;
  /** All of a kind, each as it was sent. */
  headers(name: string): readonly string[];
  /** As sent: no content coding is taken off. May be read once. */
  readonly body: AsyncIterable<Buffer>;
}

/**
 * HTTP/1.1 on node:http, which neither decodes bodies nor follows redirects by itself, and survives a server
 * that hangs up while a body waits to be read (undici 7, which is in Node's `fetch`, does not).
 */
export interface Http extends Disposable {
  /** Throws TransportError, BodyError, or the reason of the signal. */
  request(url: string | URL, request?: HttpRequest): Promise<HttpResponse>;
}

const TIMEOUTS: Timeouts = { connect: 30_000, headers: 60_000, idle: 60_000, minute: 60_000 };
/** The limit of redirects of curl-like clients and Go. */
const MAX_REDIRECTS = 10;

export function createHttp({ env = {}, timeouts: given, trust }: HttpOptions = {}): Http {
  const timeouts = { ...TIMEOUTS, ...given };
  const agents = createAgents(env, trust ?? systemTrust(env), timeouts.connect);

  async function request(start: string | URL, options: HttpRequest = {}): Promise<HttpResponse> {
    const { trustAs, signal, authorization, patience = timeouts.headers } = options;
    const first = new URL(start);
    let { method = 'GET', body } = options;
    let url = first;
    for (let redirects = 0; ; redirects++) {
      const login = authorization ?? loginIn(first);
      const sending = {
        ...{ method, body, signal, timeouts: { ...timeouts, headers: patience } },
        headers: {
          'accept-encoding': 'identity',
          'user-agent': 'iso-rehydrate',
          ...options.headers,
          ...(login !== undefined && sameOrigin(url, first) ? { authorization: login } : {}),
        },
      };
      const route = () => agents.route(url, trustAs);
      const message = await exchange(await route(), sending).catch(async (error: unknown) => {
        // Only for requests that may be repeated; the next connection is new, or stale too.
        if (!(error instanceof StaleConnection) || !REPEATABLE.has(method)) throw error;
        return exchange(await route(), sending);
      });
      const location = message.headers.location;
      const status = message.statusCode ?? 0;
      if (!REDIRECTS.has(status) || location === undefined) {
        return responseOf(message, { url, redirected: redirects > 0 }, { ...timeouts, signal });
      }
      openBody(message, { ...timeouts, signal }).discard();
      if (redirects === MAX_REDIRECTS) {
        throw new TransportError('the server redirects in circles', { transient: false });
      }
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      if (next === undefined || !/^https?:$/.test(next.protocol)) {
        throw new TransportError(`the server redirects to ${location.slice(0, 200)}`, {
          transient: false,
        });
      }
      const becomesGet = status === 303 || (status < 303 && method === 'POST');
      if (becomesGet && method !== 'HEAD') {
        method = 'GET';
        body = undefined;
      }
      if (options.sameOrigin === true && !sameOrigin(next, first)) {
        throw new TransportError(`the server redirects a login to ${shown(next)}`, {
          transient: false,
        });
      }
      if (isDowngrade(url, next) && (body !== undefined || options.downgrade !== true)) {
        throw new TransportError(`the server redirects to ${shown(next)}, which is not encrypted`, {
          transient: false,
        });
      }
      url = next;
    }
  }

  return { request, [Symbol.dispose]: () => agents[Symbol.dispose]() };
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const REPEATABLE = new Set(['GET', 'HEAD']);

/** A name and password in the URL itself, as curl takes them. */
function loginIn({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  try {
    const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(text).toString('base64')}`;
  } catch {
    return undefined;
  }
}

function responseOf(
  message: IncomingMessage,
  { url, redirected }: { readonly url: URL; readonly redirected: boolean },
  options: BodyOptions,
): HttpResponse {
  const { statusCode: status = 0, statusMessage: statusText = '' } = message;
  const { bytes, discard } = openBody(message, options);
  const headers = (name: string) => message.headersDistinct[name] ?? [];
  return {
    ...{ status, statusText, redirected, headers },
    ok: status >= 200 && status < 300,
    url: shown(url),
    header: (name) => headers(name)[0],
    body: bytes,
    [Symbol.dispose]: discard,
  };
}
