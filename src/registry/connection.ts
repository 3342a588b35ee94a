import * as v from 'valibot';
import { IoError, RehydrateError, throwIfAborted } from '../core/errors.ts';
import { readBody } from '../core/http/read-body.ts';
import { osError } from '../core/io/os-error.ts';
import { parseJson } from '../core/json/parse.ts';
import type { Credentials } from './credentials.ts';
import { isLoopback, type Reference } from './reference.ts';

export interface RegistryOptions {
  /** Undefined: nobody in particular. */
  readonly credentials?: Credentials | undefined;
  /** HTTP instead of HTTPS; registries on loopback addresses have it anyway. */
  readonly plainHttp?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type MakeRequest = () => RequestInit & { duplex?: 'half' };

/** Requests to one repository of a registry, under the login that it asks for. */
export interface Connection {
  /** `https://registry.example.com/v2/name`. */
  readonly root: string;
  /** What the registry has let in so far; to be sent to its own host only. */
  readonly authorization: () => Readonly<Record<string, string>>;
  /** Resolves whatever the status. Throws IoError `REGISTRY` if there is no answer, `REGISTRY_LOGIN`. */
  send(url: string, request: MakeRequest): Promise<Response>;
  /** Throws IoError `REGISTRY`, with the status and what the registry says, unless it is a success. */
  expectOk(response: Response, doing: string): Promise<Response>;
}

/** The limit that the specification asks registries to keep. */
export const MAX_MANIFEST = 4 << 20;

const tokenSchema = v.object({
  token: v.optional(v.string()),
  access_token: v.optional(v.string()),
});

export function connect(
  reference: Reference,
  { credentials, plainHttp, signal }: RegistryOptions = {},
): Connection {
  const scheme = plainHttp || isLoopback(reference) ? 'http' : 'https';
  const root = `${scheme}://${reference.host}/v2/${reference.name}`;
  let authorization: string | undefined;

  /** Sends a request; if the registry asks who it is, says so and sends it again. */
  async function send(url: string, init: MakeRequest): Promise<Response> {
    const once = async () => {
      const { headers, ...rest } = init();
      const own = authorization === undefined ? {} : { authorization };
      return fetch(url, {
        ...rest,
        headers: { ...(headers as Record<string, string>), ...(sameHost(url) ? own : {}) },
        ...(signal ? { signal } : {}),
      });
    };
    try {
      const first = await once();
      if (first.status !== 401) return first;
      await first.body?.cancel();
      authorization = await authorize(first.headers.get('www-authenticate') ?? '');
      return await once();
    } catch (error) {
      throwIfAborted(signal);
      throw networkError(error);
    }
  }
  const sameHost = (url: string) => new URL(url).host === new URL(root).host;

  /** Basic, or a token as Docker's specification "Token Authentication" has it. */
  async function authorize(challenge: string): Promise<string> {
    const [, kind = '', rest = ''] = /^(\w+)\s*(.*)$/s.exec(challenge) ?? [];
    const basic = credentials && 'basic' in credentials ? `Basic ${credentials.basic}` : undefined;
    if (kind.toLowerCase() === 'basic' && basic !== undefined) return basic;
    const fields = new Map(
      [...rest.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
    );
    const realm = fields.get('realm') ?? '';
    const isSafe = /^https:/.test(realm) || (scheme === 'http' && /^http:/.test(realm));
    if (kind.toLowerCase() !== 'bearer' || !URL.canParse(realm) || !isSafe) throw loginNeeded();
    const wanted = new URLSearchParams();
    for (const name of ['service', 'scope']) {
      const value = fields.get(name);
      if (value !== undefined) wanted.set(name, value);
    }
    const identity = credentials && 'identityToken' in credentials ? credentials.identityToken : '';
    const request = identity ? refresh(realm, wanted, identity) : ask(realm, wanted, basic);
    const response = await fetch(request, signal ? { signal } : {});
    if (!response.ok) throw loginNeeded();
    const bytes = await readBody(response, MAX_MANIFEST, realm);
    const { token, access_token: access } = parseJson(bytes, tokenSchema, {
      what: 'token of the registry',
      source: realm,
    });
    return `Bearer ${token ?? access ?? ''}`;
  }

  async function expectOk(response: Response, doing: string): Promise<Response> {
    if (response.ok) return response;
    if (response.status === 401) throw loginNeeded();
    const text = (await response.text().catch(() => '')).replace(/\P{L}/gu, plain).slice(0, 300);
    throw new IoError(`the registry refuses to ${doing}: ${response.status} ${text}`.trim(), {
      code: 'REGISTRY',
      context: { url: response.url, status: response.status },
      hint: HINTS[response.status] ?? 'look into the log of the registry',
    });
  }

  return {
    root,
    authorization: () => (authorization === undefined ? {} : { authorization }),
    send,
    expectOk,
  };

  function loginNeeded(): IoError {
    return new IoError(`the registry ${reference.host} wants a login`, {
      code: 'REGISTRY_LOGIN',
      context: { registry: reference.host },
      hint: `log in, with \`skopeo login ${reference.host}\` for example, or name --authfile`,
    });
  }

  function networkError(error: unknown): unknown {
    if (error instanceof RehydrateError) return error;
    const cause = error instanceof Error ? error.cause : undefined;
    // What is sent comes from a file, and that may be what failed.
    if (cause instanceof Error && 'path' in cause)
      return osError(cause, 'read', String(cause.path));
    const why = cause instanceof Error ? cause.message : String(error);
    return new IoError(`cannot reach the registry ${reference.host}: ${why}`, {
      code: 'REGISTRY',
      context: { registry: reference.host },
      hint: 'check the name of the registry, and --plain-http if it has no TLS',
      cause: error,
    });
  }
}

/** "Token Authentication": with a name and password, or nobody's. */
function ask(realm: string, wanted: URLSearchParams, basic: string | undefined): Request {
  const url = new URL(realm);
  for (const [name, value] of wanted) url.searchParams.set(name, value);
  return new Request(url, basic === undefined ? {} : { headers: { authorization: basic } });
}

/** "Token Authentication, OAuth2": with what an earlier login has left. */
function refresh(realm: string, wanted: URLSearchParams, identityToken: string): Request {
  const body = new URLSearchParams(wanted);
  body.set('grant_type', 'refresh_token');
  body.set('client_id', 'iso-rehydrate');
  body.set('refresh_token', identityToken);
  return new Request(realm, { method: 'POST', body });
}

const HINTS: Readonly<Record<number, string>> = {
  403: 'check what your login may do',
  404: 'check the name and the tag',
  405: 'this registry does not take uploads',
  413: 'this registry limits the size of blobs',
};

const plain = (char: string) => (/^[\p{N}\p{P}\p{S} ]$/u.test(char) ? char : ' ');
