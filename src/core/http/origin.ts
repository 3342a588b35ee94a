/**
 * A login is sent only to its origin, which is scheme, host and port together (RFC 6454). The host alone is
 * not enough, because another port or plain HTTP may be someone else's.
 */
export const sameOrigin = (a: URL, b: URL): boolean => a.origin === b.origin;

/** Names and addresses that never leave this machine (RFC 6761, RFC 1122, RFC 4291). */
export function isLoopbackHost(hostname: string): boolean {
  return /^(?:(?:.+\.)?localhost\.?|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(hostname);
}

/** From `https:` to `http:` on a network, where everything sent or received can be read and changed. */
export function isDowngrade(from: URL, to: URL): boolean {
  return from.protocol === 'https:' && to.protocol === 'http:' && !isLoopbackHost(to.hostname);
}

/** A URL for messages: without login and without the query, which may hold a signature that is one. */
export function shown(url: string | URL): string {
  if (!URL.canParse(String(url))) return String(url);
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/** `host` of a URL as sockets take it: IPv6 addresses have no brackets there. */
export const bareHost = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '');

export const portOf = ({ port, protocol }: URL): number =>
  port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
