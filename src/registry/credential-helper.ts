import { execa } from 'execa';
import * as v from 'valibot';
import { IoError, throwIfAborted, toolMissing } from '../core/errors.ts';
import { parseJson } from '../core/json/parse.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A helper's name after `docker-credential-`: never a path. */
export const helperSchema = v.pipe(
  v.string(),
  v.regex(/^\w[\w.-]*$/, 'expected the name of a helper'),
);

const answerSchema = v.object({ Username: v.string(), Secret: v.string() });

/** A helper may ask its user a question, but a job must not wait forever. Milliseconds. */
const PATIENCE = 60_000;

/**
 * Asks a helper of docker's kind (`docker-credential-NAME get`, the registry on its standard input) for a login.
 * Undefined if it has none. Throws ToolError `TOOL_MISSING`, IoError `REGISTRY_LOGIN` if it fails.
 */
export async function askHelper(
  name: string,
  host: string,
  env: Environment,
  signal?: AbortSignal,
): Promise<v.InferOutput<typeof answerSchema> | undefined> {
  const program = `docker-credential-${name}`;
  const result = await execa(program, ['get'], {
    ...{ input: host, reject: false, timeout: PATIENCE, maxBuffer: 1 << 20 },
    ...{ env, extendEnv: false },
    ...(signal ? { cancelSignal: signal } : {}),
  });
  throwIfAborted(signal);
  if (result.code === 'ENOENT') {
    throw toolMissing(program, `install it, or log in without it: skopeo login ${host}`, result);
  }
  const { stdout = '', stderr = '' } = result;
  if (!result.failed) {
    const how = { what: 'login', source: program, secret: true };
    return parseJson(Buffer.from(stdout), answerSchema, how);
  }
  // The protocol has no other sign of a missing login: NewErrCredentialsNotFound of docker-credential-helpers.
  if (/credentials not found/i.test(stdout)) return undefined;
  const why = (stderr || stdout || (result.shortMessage ?? '')).split('\n', 1).join();
  throw new IoError(`${program} gives no login for ${host}: ${why.slice(0, 300)}`, {
    code: 'REGISTRY_LOGIN',
    context: { program, registry: host },
    hint: `see what \`echo ${host} | ${program} get\` says`,
  });
}
