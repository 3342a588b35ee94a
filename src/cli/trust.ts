import { stat } from 'node:fs/promises';
import { createHttp } from '../core/http/client.ts';
import { type Policy, readPolicy } from '../verbs/trust/policy.ts';
import { type Vetted, vet } from '../verbs/trust/trust.ts';
import { configFolder } from './environment.ts';
import type { CliIo } from './io.ts';
import type { TrustOptions } from './option-groups.ts';

/** Where a site keeps its policy. */
const SITE = '/etc/iso-rehydrate/trust.json';

/** Checks a bundle against the options and the policy of the user or the site. */
export const vetterOf =
  (options: TrustOptions, { env, signal }: CliIo) =>
  async (named: { readonly name: string; readonly inRegistry: boolean }): Promise<Vetted> => {
    const { trust = [], expect, verify, verifyKey } = options;
    const policy = await policyOf(options, env, signal);
    const request = { trust, expect, verify, verifyKey, policy };
    return vet(request, named, { http: () => createHttp({ env }), signal });
  };

async function policyOf(
  { policy }: TrustOptions,
  env: CliIo['env'],
  signal: AbortSignal,
): Promise<Policy | undefined> {
  if (policy !== undefined) return readPolicy(policy, signal);
  const own = `${configFolder(env)}/trust.json`;
  if (await stat(own).catch(isOurs)) return readPolicy(own, signal);
  if (await stat(SITE).catch(isThere)) return readPolicy(SITE, signal);
  return undefined;
}

/** A policy that cannot be read must not count as absent. */
function isThere(error: NodeJS.ErrnoException): boolean {
  return error.code !== 'ENOENT' && error.code !== 'ENOTDIR';
}

/**
 * A folder that this user may not enter is not this user's: containers and sudo leave another user's HOME behind. Git
 * reads its configuration by the same rule (access_or_die with ACCESS_EACCES_OK).
 */
function isOurs(error: NodeJS.ErrnoException): boolean {
  return error.code !== 'EACCES' && isThere(error);
}
