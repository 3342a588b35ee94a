import { BlockList, isIP } from 'node:net';
import { UsageError } from '../errors.ts';
import { bareHost, portOf } from './origin.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ProxyServer {
  /** `http` or `https`: how the proxy itself is spoken to. */
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  /** `Basic …` for the proxy. */
  readonly authorization: string | undefined;
}

/**
 * The proxy for a URL, or undefined for none, by the variables that curl reads: `https_proxy`, `HTTPS_PROXY`,
 * `http_proxy` (lower case only, because a CGI server sets `HTTP_PROXY` from a header that clients choose),
 * `all_proxy`, `ALL_PROXY`, and the exceptions in `no_proxy` or `NO_PROXY`; an empty one counts as unset.
 * Throws UsageError `PROXY` for a proxy that cannot be used.
 */
export function proxyFor(url: URL, env: Environment): ProxyServer | undefined {
  const names =
    url.protocol === 'https:'
      ? ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY']
      : ['http_proxy', 'all_proxy', 'ALL_PROXY'];
  const name = names.find((one) => env[one]);
  const value = name && env[name];
  if (!name || !value) return undefined;
  if (isExcepted(url, env.no_proxy || env.NO_PROXY || '')) return undefined;
  return parseProxy(name, value);
}

function parseProxy(name: string, value: string): ProxyServer {
  const [, scheme = 'http', rest = ''] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(value) ?? [];
  const kind = scheme.toLowerCase();
  const text = `http://${rest}`;
  const bad = (why: string) =>
    // Without the value: it may hold a password.
    new UsageError(`the proxy of ${name} cannot be used: ${why}`, {
      code: 'PROXY',
      hint: `set ${name} to http://host:port or https://host:port, or unset it`,
    });
  if (kind !== 'http' && kind !== 'https') throw bad(`${kind} proxies are not supported`);
  if (!URL.canParse(text)) throw bad('it is not a URL');
  const url = new URL(text);
  // As curl has it. `URL` drops a port of 80, so the text decides whether one is given.
  const isGiven = /^(?:[^/?#]*@)?(?:\[[^\]]*\]|[^:/?#[\]]*):\d/.test(rest);
  const port = isGiven ? portOf(url) : kind === 'https' ? 443 : 1080;
  const login = [url.username, url.password].map(decode).join(':');
  return {
    tls: kind === 'https',
    host: bareHost(url),
    port,
    authorization: login === ':' ? undefined : `Basic ${Buffer.from(login).toString('base64')}`,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * curl's rules: `*` alone is every host; else names, of which each covers its subdomains, with or without a dot
 * before it; addresses; and networks as `10.0.0.0/8`. An entry with a port is for that port only.
 */
function isExcepted(url: URL, list: string): boolean {
  const host = bareHost(url).replace(/\.$/, '').toLowerCase();
  const port = portOf(url);
  if (list.trim() === '*') return true;
  return list
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => covers(entry.toLowerCase(), host, port));
}

function covers(entry: string, host: string, port: number): boolean {
  const [, bracketed, plain, ofPort] =
    /^(?:\[([^\]]*)\]|([^:]*(?::[^:]*:.*)?))(?::(\d+))?$/.exec(entry) ?? [];
  if (ofPort !== undefined && Number(ofPort) !== port) return false;
  const name = (bracketed ?? plain ?? '').replace(/^\*?\.+/, '').replace(/\.$/, '');
  if (name === '') return false;
  const family = isIP(host);
  if (family > 0) return isWithin(name, host, family === 6 ? 'ipv6' : 'ipv4');
  return host === name || host.endsWith(`.${name}`);
}

function isWithin(entry: string, host: string, family: 'ipv4' | 'ipv6'): boolean {
  const [address = '', bits] = entry.split('/');
  if (isIP(address) !== (family === 'ipv6' ? 6 : 4)) return false;
  const longest = family === 'ipv6' ? 128 : 32;
  const prefix = bits === undefined ? longest : Number(bits);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > longest) return false;
  const network = new BlockList();
  network.addSubnet(address, prefix, family);
  return network.check(host, family);
}
