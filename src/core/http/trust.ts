import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { UsageError } from '../errors.ts';
import { readWhole } from '../io/regular.ts';
import type { Environment } from './proxy.ts';

/** Where distributions keep the bundle of a system's authorities; the list of Go's crypto/x509. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
const MAX_PEM = 8 << 20;

/** The certificate authorities that TLS trusts. */
export interface Trust {
  /**
   * For the first of these hosts, each `host` or `host:port`, that has authorities and a client certificate of its
   * own; else for any host.
   */
  contextFor(hosts: readonly string[]): Promise<SecureContext>;
}

/**
 * The authorities of the system, of `NODE_EXTRA_CA_CERTS`, and those that Node carries for hosts without any;
 * `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of all but the second, as in curl and Go. Besides them, what
 * containers-certs.d(5) names for a registry, so that a host that skopeo trusts is trusted here.
 */
export function systemTrust(env: Environment): Trust {
  let all: Promise<readonly string[]> | undefined;
  const contexts = new Map<string, Promise<SecureContext>>();
  const contextOf = async (folder: string | undefined) => {
    all ??= authorities(env);
    return folder ? ownContext(folder, await all) : createSecureContext({ ca: [...(await all)] });
  };
  return {
    async contextFor(hosts) {
      const own = await registryFolder(hosts, env);
      const known = contexts.get(own ?? '') ?? contextOf(own);
      contexts.set(own ?? '', known);
      return known;
    },
  };
}

async function authorities(env: Environment): Promise<readonly string[]> {
  const found = [...getCACertificates('system'), ...getCACertificates('extra')];
  if (!env.SSL_CERT_FILE && !env.SSL_CERT_DIR) {
    found.push(...getCACertificates('bundled'));
    for (const path of BUNDLES) found.push(...(await certificatesIn(path).catch(() => [])));
  }
  return [...new Set(found)];
}

/** The first that is there, in the order of containers/image. */
async function registryFolder(
  hosts: readonly string[],
  env: Environment,
): Promise<string | undefined> {
  const home = env.HOME || homedir();
  const roots = [join(home, '.config/containers'), '/etc/containers', '/etc/docker'];
  for (const host of hosts.filter((one) => /^[\w[][\w.:[\]-]*$/.test(one))) {
    for (const root of roots) {
      const folder = join(root, 'certs.d', host);
      // A folder that cannot be read counts as missing.
      if ((await found(folder))?.isDirectory()) return folder;
    }
  }
  return undefined;
}

const found = (path: string): Promise<Stats | undefined> => stat(path).catch(() => undefined);

async function ownContext(folder: string, known: readonly string[]): Promise<SecureContext> {
  try {
    const names = (await readdir(folder)).sort();
    const ca: string[] = [];
    for (const name of names.filter((one) => one.endsWith('.crt'))) {
      ca.push(...(await certificatesIn(join(folder, name))));
    }
    const client = names.find((name) => name.endsWith('.cert'));
    return createSecureContext({
      ca: [...known, ...ca],
      ...(client
        ? {
            cert: await readPem(join(folder, client)),
            key: await readPem(join(folder, client.replace(/\.cert$/, '.key'))),
          }
        : {}),
    });
  } catch (error) {
    throw new UsageError(`the certificates in ${folder} cannot be used`, {
      code: 'CERTIFICATES',
      context: { folder },
      hint: 'see containers-certs.d(5): *.crt, and client.cert with client.key',
      cause: error,
    });
  }
}

async function certificatesIn(path: string): Promise<readonly string[]> {
  const text = await readPem(path);
  return text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?/g) ?? [];
}

const readPem = async (path: string): Promise<string> =>
  (await readWhole(path, { limit: MAX_PEM, what: 'a certificate' })).toString();
