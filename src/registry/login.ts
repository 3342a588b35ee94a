import * as v from 'valibot';
import { IoError } from '../core/errors.ts';
import { readDocument } from '../core/http/body.ts';
import type { Http } from '../core/http/client.ts';
import { isLoopbackHost, shown } from '../core/http/origin.ts';
import { isTransientStatus, Refused, retryAfterOf } from '../core/http/retry.ts';
import { TransportError } from '../core/http/transport-error.ts';
import { parseJson } from '../core/json/parse.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { Credentials } from './credentials.ts';
import { mergeScopes } from './scope.ts';

/** The authorization of a request. */
export interface Pass {
  /** The value of `Authorization`. */
  readonly authorization: string;
  /** When it expires, on the clock of `performance.now()`; undefined if it does not. */
  readonly ends: number | undefined;
}

export interface LoginOptions {
  readonly http: Http;
  readonly signal?: AbortSignal | undefined;
  readonly credentials: Credentials | undefined;
  /** URL of the repository: `https://registry.example.com/v2/name`. */
  readonly root: URL;
  /** The scope of a token if the registry does not name one. */
  readonly scope: string;
  /** The user has allowed plain HTTP. */
  readonly plainHttp: boolean;
  readonly trustAs: string;
}

export interface Login {
  /**
   * The ways in that a registry offers and that can be tried, in its order; each gets a pass, or nothing if it is
   * refused. A way is tried until one of them lets the request in.
   */
  ways(wwwAuthenticate: readonly string[]): (() => Promise<Pass | undefined>)[];
}

/** Longer than any real token. */
const MAX_TOKEN = 1 << 20;
/** Seconds; the default of "Token Authentication" for tokens without an expiry. */
const SHORTEST = 60;

const tokenSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
  expires_in: v.optional(v.unknown()),
});

/** HTTP's Basic, and Bearer by Docker's specification "Token Authentication" and its OAuth2 variant. */
export function createLogin(options: LoginOptions): Login {
  const { credentials, root, http, signal, scope: usual } = options;
  const basic = credentials && 'basic' in credentials ? `Basic ${credentials.basic}` : undefined;
  // Some token servers need the name in the query, too, where docker sends it.
  const account = basic && Buffer.from(basic.slice(6), 'base64').toString().replace(/:.*$/s, '');
  const identity = credentials && 'identityToken' in credentials ? credentials.identityToken : '';
  let scopes: string[] = [];

  return {
    ways(headers) {
      return parseChallenges(headers).flatMap((challenge) => {
        if (challenge.scheme === 'basic' && basic !== undefined) {
          return [async () => ({ authorization: basic, ends: undefined })];
        }
        if (challenge.scheme !== 'bearer') return [];
        return [() => tokenOf(challenge)];
      });
    },
  };

  function realmOf({ parameters }: Challenge): URL | undefined {
    const text = parameters.get('realm') ?? '';
    // A bare path is on the registry itself.
    const realm = text !== '' && URL.canParse(text, root.href) ? new URL(text, root) : undefined;
    if (realm === undefined || !/^https?:$/.test(realm.protocol)) return undefined;
    if (realm.protocol === 'https:' || isLoopbackHost(realm.hostname)) return realm;
    const isPlain = root.protocol === 'http:';
    if (isPlain && (options.plainHttp || !isLoopbackHost(root.hostname))) return realm;
    throw new IoError(`the token server ${shown(realm)} is not encrypted`, {
      code: 'REGISTRY_LOGIN',
      context: { registry: root.host, realm: shown(realm) },
      hint: 'make the registry name its token server with https://: logins are only sent encrypted',
    });
  }

  async function tokenOf(challenge: Challenge): Promise<Pass | undefined> {
    const { parameters } = challenge;
    const realm = realmOf(challenge);
    if (realm === undefined) return undefined;
    scopes = mergeScopes(...scopes, parameters.get('scope') || usual);
    const service = parameters.get('service');
    const wanted = new URLSearchParams();
    if (service !== undefined) wanted.set('service', service);
    return askToken(realm, wanted).catch((error: unknown) => {
      if (!(error instanceof TransportError) || error instanceof Refused) throw error;
      const { transient, message } = error;
      throw new TransportError(`its token server ${shown(realm)}: ${message}`, {
        ...{ transient, cause: error },
      });
    });
  }

  async function askToken(realm: URL, wanted: URLSearchParams): Promise<Pass | undefined> {
    const asked = performance.now();
    const common = { signal, trustAs: options.trustAs };
    using response = identity
      ? await http.request(realm, {
          ...{ ...common, ...refresh(wanted, scopes, identity), sameOrigin: true },
        })
      : await http.request(ask(realm, wanted, scopes, account), {
          ...common,
          ...(basic === undefined ? {} : { authorization: basic }),
        });
    const { status } = response;
    if (isTransientStatus(status)) {
      const text = `the token server ${shown(realm)} says ${status}`;
      throw new Refused(text, status, retryAfterOf(response));
    }
    if (!response.ok) return undefined;
    const bytes = await readDocument(response, MAX_TOKEN, `a token of ${shown(realm)}`);
    const answer = parseJson(bytes, tokenSchema, {
      ...{ what: 'token of the registry', source: shown(realm), secret: true },
    });
    const token = answer.token || answer.access_token;
    // It becomes a header, so it must not contain line breaks.
    if (!token || !/^[\x21-\x7e]+$/.test(token)) return undefined;
    const lasts = Number(answer.expires_in ?? SHORTEST);
    const seconds = Number.isFinite(lasts) && lasts > 0 ? lasts : SHORTEST;
    return { authorization: `Bearer ${token}`, ends: asked + seconds * 1000 };
  }
}

/** "Token Authentication": with user name and password, or anonymous. */
function ask(
  realm: URL,
  wanted: URLSearchParams,
  scopes: readonly string[],
  account: string | undefined,
): URL {
  const url = new URL(realm);
  if (account) url.searchParams.set('account', account);
  for (const [name, value] of wanted) url.searchParams.set(name, value);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  return url;
}

/** "Token Authentication, OAuth2": with the refresh token of an earlier login. */
function refresh(wanted: URLSearchParams, scopes: readonly string[], identityToken: string) {
  const form = new URLSearchParams(wanted);
  form.set('scope', scopes.join(' '));
  form.set('grant_type', 'refresh_token');
  form.set('client_id', 'iso-rehydrate');
  form.set('refresh_token', identityToken);
  const bytes = Buffer.from(form.toString());
  return {
    method: 'POST' as const,
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': String(bytes.length),
    },
    body: async function* () {
      yield bytes;
    },
  };
}
