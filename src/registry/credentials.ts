import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { FormatError, throwIfAborted } from '../core/errors.ts';
import { readWhole } from '../core/io/regular.ts';
import { parseJson } from '../core/json/parse.ts';
import { askHelper, type Environment, helperSchema } from './credential-helper.ts';
import { HUB_NAMES, type Reference } from './reference.ts';

/** The credentials of a user at a registry. */
export type Credentials =
  /** `user:password` in base64, as in HTTP's Basic scheme. */
  | { readonly basic: string }
  /** OAuth2 refresh token, which the registry's token server exchanges for an access token. */
  | { readonly identityToken: string };

export interface FindCredentialsOptions {
  /** The only file to read. */
  readonly authFile?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Bytes; far more than the logins of a user take. */
const MAX_AUTH_FILE = 4 << 20;

/** containers-auth.json(5) and Docker's config.json: `auth` is base64 of `user:password`. */
const authSchema = v.object({
  auths: v.optional(
    v.record(
      v.string(),
      v.object({ auth: v.optional(v.string()), identitytoken: v.optional(v.string()) }),
    ),
  ),
  credHelpers: v.optional(v.record(v.string(), helperSchema)),
  credsStore: v.optional(helperSchema),
});

type AuthFile = v.InferOutput<typeof authSchema>;

/**
 * Credentials for a repository, as podman, skopeo, oras and docker keep them: in a file, or with a helper that the
 * file names; undefined if there are none. A named file has to be there; of the usual places the first that
 * knows the registry is taken. Throws FormatError, IoError, ToolError for a helper that is missing.
 */
export async function findCredentials(
  reference: Pick<Reference, 'host' | 'name'>,
  env: Environment,
  { authFile, signal }: FindCredentialsOptions = {},
): Promise<Credentials | undefined> {
  const home = env.HOME || homedir();
  const named = authFile ?? env.REGISTRY_AUTH_FILE;
  const runtime = env.XDG_RUNTIME_DIR || `/run/containers/${userInfo().uid}`;
  const places = named
    ? [named]
    : [
        env.XDG_RUNTIME_DIR ? join(runtime, 'containers/auth.json') : join(runtime, 'auth.json'),
        join(env.XDG_CONFIG_HOME || join(home, '.config'), 'containers/auth.json'),
        join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json'),
      ];
  for (const path of places) {
    const bytes = await readWhole(path, {
      limit: MAX_AUTH_FILE,
      what: 'the file of registry logins',
      signal,
    }).catch((error: unknown) => {
      throwIfAborted(signal);
      if (named) throw error;
      return undefined;
    });
    if (bytes === undefined) continue;
    const file = parseJson(bytes, authSchema, {
      what: 'registry login',
      source: path,
      secret: true,
    });
    const found =
      (await fromHelper(file, reference.host, env, signal)) ?? fromFile(file, reference, path);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** In docker's order: the helper of the registry, else the helper for all registries, else the file itself. */
async function fromHelper(
  { credHelpers = {}, credsStore }: AuthFile,
  host: string,
  env: Environment,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  const own = Object.entries(credHelpers).find(([key]) => hostKey(key) === hostKey(host));
  const helper = own?.[1] ?? credsStore;
  if (helper === undefined) return undefined;
  // docker and podman call Docker Hub by different names.
  const names = isHub(host) ? [HUB_LOGIN, host] : [host];
  for (const name of names) {
    const answer = await askHelper(helper, name, env, signal);
    if (answer === undefined) continue;
    // With this user name, docker's helpers mark the secret as an identity token.
    if (answer.Username === '<token>') return { identityToken: answer.Secret };
    return { basic: Buffer.from(`${answer.Username}:${answer.Secret}`).toString('base64') };
  }
  return undefined;
}

/** The name of Docker Hub for `docker login`. */
const HUB_LOGIN = 'https://index.docker.io/v1/';

const isHub = (host: string) => HUB_NAMES.includes(host);

/**
 * A key of an auth file: `host/path` as podman writes it, or a URL of docker's, of which the host counts; Docker Hub
 * has several names.
 */
function hostKey(key: string): string {
  const bare = key.replace(/^https?:\/\//, '');
  const text = bare === key ? bare.replace(/(?:\/v[12])?\/?$/, '') : bare.replace(/\/.*$/s, '');
  const [host = '', ...path] = text.split('/');
  return [isHub(host) ? 'docker.io' : host, ...path].join('/');
}

/** The longest entry that matches: a login may be for a part of a registry; see containers-auth.json(5). */
function fromFile(
  { auths = {} }: AuthFile,
  { host, name }: Pick<Reference, 'host' | 'name'>,
  path: string,
): Credentials | undefined {
  // An entry of exactly this name comes before one that normalizes to it.
  const known = new Map([
    ...Object.entries(auths).map(([key, entry]) => [hostKey(key), entry] as const),
    ...Object.entries(auths),
  ]);
  const parts = [hostKey(host), ...name.split('/')];
  for (let length = parts.length; length > 0; length--) {
    const entry = known.get(parts.slice(0, length).join('/'));
    if (entry?.identitytoken) return { identityToken: entry.identitytoken };
    // Empty if a helper has the login.
    if (!entry?.auth) continue;
    if (/^[A-Za-z0-9+/]+=*$/.test(entry.auth)) return { basic: entry.auth };
    throw new FormatError(`the login of ${host} is malformed`, {
      code: 'REGISTRY_LOGIN',
      context: { file: path },
      hint: `log in again: skopeo login ${host}`,
    });
  }
  return undefined;
}
