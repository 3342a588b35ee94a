import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { UsageError } from '../errors.ts';
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

/** Whom TLS trusts. */
export interface Trust {
  /**
   * For the first of these hosts, each `host` or `host:port`, that has authorities and a client certificate of its
   * own; else for any host.
   */
  contextFor(hosts: readonly string[]): SecureContext;
}

/**
 * The authorities of the system, of `NODE_EXTRA_CA_CERTS`, and those that Node carries for hosts without any;
 * `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of all but the second, as in curl and Go. Besides them, what
 * containers-certs.d(5) names for a registry, so that a host that skopeo trusts is trusted here.
 */
export function systemTrust(env: Environment): Trust {
  let all: string[] | undefined;
  const contexts = new Map<string, SecureContext>();
  const authorities = () => {
    all ??= [
      ...new Set([
        ...getCACertificates('system'),
        ...getCACertificates('extra'),
        ...(env.SSL_CERT_FILE || env.SSL_CERT_DIR
          ? []
          : [...getCACertificates('bundled'), ...BUNDLES.flatMap(certificatesIn)]),
      ]),
    ];
    return all;
  };
  return {
    contextFor(hosts) {
      const own = registryFolder(hosts, env);
      const key = own ?? '';
      const known = contexts.get(key);
      if (known) return known;
      const made = own
        ? ownContext(own, authorities())
        : createSecureContext({ ca: authorities() });
      contexts.set(key, made);
      return made;
    },
  };
}

/** The first that is there, in the order of containers/image. */
function registryFolder(hosts: readonly string[], env: Environment): string | undefined {
  const home = env.HOME || homedir();
  const roots = [join(home, '.config/containers'), '/etc/containers', '/etc/docker'];
  return hosts
    .filter((host) => /^[\w[][\w.:[\]-]*$/.test(host))
    .flatMap((host) => roots.map((root) => join(root, 'certs.d', host)))
    .find((folder) => found(folder)?.isDirectory() === true);
}

function ownContext(folder: string, authorities: readonly string[]): SecureContext {
  try {
    const names = readdirSync(folder).sort();
    const ca = names.filter((name) => name.endsWith('.crt'));
    const client = names.find((name) => name.endsWith('.cert'));
    const key = client?.replace(/\.cert$/, '.key');
    return createSecureContext({
      ca: [...authorities, ...ca.flatMap((name) => certificatesIn(join(folder, name)))],
      ...(client && key
        ? { cert: readPem(join(folder, client)), key: readPem(join(folder, key)) }
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

function certificatesIn(path: string): string[] {
  if (found(path)?.isFile() !== true) return [];
  return readPem(path).match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?/g) ?? [];
}

function readPem(path: string): string {
  const is = statSync(path);
  if (!is.isFile() || is.size > MAX_PEM) throw new Error(`${path} is not a PEM file`);
  return readFileSync(path, 'utf8');
}

/** What cannot be looked at is not there for us. */
function found(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
