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
  for (const path of [`${configFolder(env)}/trust.json`, SITE]) {
    if (await stat(path).catch(isThere)) return readPolicy(path, signal);
  }
  return undefined;
}

/** A policy that cannot be read must not count as absent. */
function isThere(error: NodeJS.ErrnoException): boolean {
  return error.code !== 'ENOENT' && error.code !== 'ENOTDIR';
}
