import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { FormatError } from '../core/errors.ts';
import { osError } from '../core/io/os-error.ts';
import { parseJson } from '../core/json/parse.ts';
import { askHelper, type Environment, helperSchema } from './credential-helper.ts';
import type { Reference } from './reference.ts';

/** How a user shows who they are. */
export type Credentials =
  /** `user:password` in base64, as HTTP has it. */
  | { readonly basic: string }
  /** OAuth2 refresh token, which the registry's token server changes for tokens that do. */
  | { readonly identityToken: string };

export interface FindCredentialsOptions {
  /** Only this file is looked into. */
  readonly authFile?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

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
  const places = named
    ? [named]
    : [
        ...(env.XDG_RUNTIME_DIR ? [join(env.XDG_RUNTIME_DIR, 'containers/auth.json')] : []),
        join(env.XDG_CONFIG_HOME || join(home, '.config'), 'containers/auth.json'),
        join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json'),
      ];
  for (const path of places) {
    const bytes = await readFile(path).catch((error: unknown) => {
      if (named) throw osError(error, 'read', path);
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

/** As docker does: the registry's own helper, else the one for all, else what the file holds itself. */
async function fromHelper(
  { credHelpers = {}, credsStore }: AuthFile,
  host: string,
  env: Environment,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  const helper = credHelpers[host] ?? credsStore;
  if (helper === undefined) return undefined;
  const answer = await askHelper(helper, host, env, signal);
  if (answer === undefined) return undefined;
  // By this name docker's helpers say that the secret is an identity token.
  if (answer.Username === '<token>') return { identityToken: answer.Secret };
  const basic = Buffer.from(`${answer.Username}:${answer.Secret}`).toString('base64');
  return { basic };
}

/** The most exact entry: podman's logins may be for a part of a registry, docker's may be URLs. */
function fromFile(
  { auths = {} }: AuthFile,
  { host, name }: Pick<Reference, 'host' | 'name'>,
  path: string,
): Credentials | undefined {
  const known = new Map(
    Object.entries(auths).map(([key, entry]) => [
      key.replace(/^https?:\/\//, '').replace(/(?:\/v[12])?\/?$/, ''),
      entry,
    ]),
  );
  const parts = [host, ...name.split('/')];
  for (let length = parts.length; length > 0; length--) {
    const entry = known.get(parts.slice(0, length).join('/'));
    if (entry?.identitytoken) return { identityToken: entry.identitytoken };
    // Empty where a helper keeps it.
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
