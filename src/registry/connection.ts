import { IoError, RehydrateError, throwIfAborted } from '../core/errors.ts';
import { readExcerpt } from '../core/http/body.ts';
import { createHttp, type Http, type HttpRequest, type HttpResponse } from '../core/http/client.ts';
import { BodyError } from '../core/http/exchange.ts';
import { isDowngrade, sameOrigin, shown } from '../core/http/origin.ts';
import {
  isTransient,
  isTransientStatus,
  Refused,
  type RetryOptions,
  retryAfterOf,
  withRetries,
} from '../core/http/retry.ts';
import { TransportError } from '../core/http/transport-error.ts';
import { osError } from '../core/io/os-error.ts';
import { oneLine } from '../core/text/printable.ts';
import type { Credentials } from './credentials.ts';
import { createLogin, type Pass } from './login.ts';
import { endpointOf, isLoopback, type Reference } from './reference.ts';

export interface RegistryOptions {
  /** Undefined: anonymous. */
  readonly credentials?: Credentials | undefined;
  /** HTTP instead of HTTPS, the default for registries on loopback addresses. */
  readonly plainHttp?: boolean | undefined;
  /** Carries the requests, with the proxies and certificates of the environment that it was made with. */
  readonly http?: Http | undefined;
  readonly retry?: Omit<RetryOptions, 'signal'> | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type RegistryRequest = Pick<
  HttpRequest,
  'method' | 'headers' | 'body' | 'downgrade' | 'patience'
>;

/** Requests to one repository of a registry, under the login that it asks for. */
export interface Connection {
  /** `https://registry.example.com/v2/name`. */
  readonly root: string;
  /**
   * Sends a request that may be repeated, and has `take` read the answer, whatever its status; both again if they fail for now. Throws
   * IoError `REGISTRY` if there is no answer, `REGISTRY_LOGIN`, and what `take` throws.
   */
  send<T>(
    url: string,
    request: RegistryRequest,
    take: (response: HttpResponse) => Promise<T>,
  ): Promise<T>;
  /**
   * The same once, for a caller that reads the answer and tries again itself. Throws TransportError and BodyError, which
   * {@link explain} turns into our own errors.
   */
  open(url: string, request: RegistryRequest): Promise<HttpResponse>;
  explain(error: unknown): unknown;
  /** Throws IoError `REGISTRY`, with the status and the registry's message, unless it is a success. */
  expectOk(response: HttpResponse, doing: string): Promise<void>;
}

/** The limit that the specification asks registries to keep. */
export const MAX_MANIFEST = 4 << 20;

export function connect(
  reference: Reference,
  { credentials, plainHttp = false, http = createHttp(), retry, signal }: RegistryOptions = {},
): Connection {
  const scheme = plainHttp || isLoopback(reference) ? 'http' : 'https';
  const root = new URL(`${scheme}://${endpointOf(reference)}/v2/${reference.name}`);
  const login = createLogin({
    ...{ http, credentials, root, plainHttp, signal, ...retry },
    ...{ scope: `repository:${reference.name}:pull`, trustAs: reference.host },
  });
  let pass: Pass | undefined;
  /** The login method that gave the authorization. */
  let renew: (() => Promise<Pass | undefined>) | undefined;
  let reached = false;

  const send: Connection['send'] = async (url, request, take) => {
    const attempt = async () => {
      using response = await open(url, request);
      return await take(response);
    };
    try {
      return await withRetries({ ...retry, signal }, attempt, isWorthIt);
    } catch (error) {
      throwIfAborted(signal);
      throw explain(error);
    }
  };

  /** An unreachable host is more likely a typo than a registry that is down. */
  const isWorthIt = (error: unknown) =>
    isTransient(error) && (reached || !(error instanceof TransportError && error.unreached));

  /** Sends a request; if the registry asks for a login, logs in and sends it again. */
  async function open(url: string, request: RegistryRequest): Promise<HttpResponse> {
    const target = new URL(url);
    const isOwn = sameOrigin(target, root);
    if (isDowngrade(root, target)) throw unencrypted(target);
    const once = async () => {
      const answer = await http.request(target, {
        ...{ ...request, signal, trustAs: reference.host },
        ...(isOwn && pass ? { authorization: pass.authorization } : {}),
      });
      reached = true;
      return answer;
    };
    if (isOwn && pass && renew && hasEnded(pass)) pass = await renew();
    let response = await once();
    if (response.status === 401 && isOwn) response = await enter(response, once);
    if (!isTransientStatus(response.status)) return response;
    using refused = response;
    throw new Refused(await reasonIn(refused), refused.status, retryAfterOf(refused));
  }

  /** Tries the login methods that a refusal offers, one after the other. Resolves to the last answer. */
  async function enter(
    refusal: HttpResponse,
    once: () => Promise<HttpResponse>,
  ): Promise<HttpResponse> {
    let last = refusal;
    let why: IoError | undefined;
    last[Symbol.dispose]();
    for (const way of login.ways(refusal.headers('www-authenticate'))) {
      try {
        const got = await way();
        if (got === undefined) continue;
        pass = got;
        renew = way;
      } catch (error) {
        if (!(error instanceof IoError)) throw error;
        why ??= error;
        continue;
      }
      last = await once();
      if (last.status !== 401) return last;
      last[Symbol.dispose]();
      pass = undefined;
    }
    if (why) throw why;
    return last;
  }

  async function expectOk(response: HttpResponse, doing: string): Promise<void> {
    const { ok, status, url } = response;
    if (ok) return;
    if (status === 401) throw loginNeeded();
    throw refusedTo(doing, await reasonIn(response), status, url);
  }

  return { root: root.href, send, open, explain, expectOk };

  function refusedTo(
    doing: string,
    text: string,
    status: number,
    url: string,
    later = '',
  ): IoError {
    return new IoError(`the registry refuses to ${doing}: ${text}${later}`, {
      code: 'REGISTRY',
      context: { url, status },
      hint: HINTS[status] ?? 'see the log of the registry',
    });
  }

  function loginNeeded(): IoError {
    return new IoError(`the registry ${reference.host} requires a login`, {
      code: 'REGISTRY_LOGIN',
      context: { registry: reference.host },
      hint: `log in, with \`skopeo login ${reference.host}\` for example, or name --authfile`,
    });
  }

  function unencrypted(target: URL): IoError {
    return new IoError(
      `the registry ${reference.host} redirects this request to ${shown(target)}, which is not encrypted`,
      {
        code: 'REGISTRY_LOCATION',
        context: { registry: reference.host, location: shown(target) },
        hint: 'make the registry use https in its URLs: set X-Forwarded-Proto at its proxy, or `http.relativeurls`',
      },
    );
  }

  function explain(error: unknown): unknown {
    if (error instanceof RehydrateError) return error;
    if (error instanceof BodyError) {
      // The data comes from a file, whose read may have failed.
      const { cause } = error;
      const path = cause instanceof Error && 'path' in cause ? String(cause.path) : '';
      return osError(cause, 'read', path);
    }
    if (error instanceof Refused) {
      const { retryAfter, status } = error;
      const later =
        retryAfter === undefined
          ? ''
          : `; it asks to come back in ${Math.ceil(retryAfter / 1000)} seconds`;
      return refusedTo('answer', error.message, status, root.href, later);
    }
    if (!(error instanceof TransportError)) return error;
    return new IoError(`cannot reach the registry ${reference.host}: ${error.message}`, {
      code: 'REGISTRY',
      context: { registry: reference.host },
      hint:
        error.hint ??
        'check the name of the registry, the proxy, and --plain-http if it has no TLS',
      cause: error.cause,
    });
  }
}

/** A little before it expires, so that it is still valid when the registry checks it. */
const hasEnded = ({ ends }: Pass): boolean =>
  ends !== undefined && performance.now() > ends - MARGIN;
const MARGIN = 5000;

/** The status and the registry's own message, on one line. */
async function reasonIn(response: HttpResponse): Promise<string> {
  const text = oneLine(await readExcerpt(response))
    .trim()
    .slice(0, 300);
  return `${response.status} ${text}`.trim();
}

const HINTS: Readonly<Record<number, string>> = {
  403: 'check what your login may do',
  404: 'check the name and the tag',
  405: 'this registry does not take uploads',
  413: 'this registry limits the size of blobs',
  429: 'try again later, or log in: many registries allow more then',
};
