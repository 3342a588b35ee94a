import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { FormatError } from '../errors.ts';
import { osError } from '../io/os-error.ts';
import { parseJson } from '../json/parse.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** containers-auth.json(5) and Docker's config.json: `auths.<host>.auth` is base64 of `user:password`. */
const authSchema = v.object({
  auths: v.optional(v.record(v.string(), v.object({ auth: v.optional(v.string()) }))),
});

/**
 * `Basic` credentials of a registry, as podman, skopeo and docker login keep them; undefined if there are
 * none. A named file has to be there; of the usual places the first that knows the host is taken.
 * Credential helpers are not asked.
 */
export async function findCredentials(
  host: string,
  env: Environment,
  authFile?: string,
): Promise<string | undefined> {
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
    const { auths = {} } = parseJson(bytes, authSchema, { what: 'registry login', source: path });
    const found = auths[host]?.auth;
    if (found === undefined) continue;
    if (/^[A-Za-z0-9+/]+=*$/.test(found)) return `Basic ${found}`;
    throw new FormatError(`the login of ${host} is malformed`, {
      code: 'REGISTRY_LOGIN',
      context: { file: path },
      hint: `log in again: skopeo login ${host}`,
    });
  }
  return undefined;
}
