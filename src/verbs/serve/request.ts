import type { IncomingMessage } from 'node:http';
import { UsageError } from '../../core/errors.ts';

/** Bytes of a request line and its headers, all together. */
export const MAX_HEADER = 16 << 10;
/** Characters of a request target; no released file has a path that is near it. */
export const MAX_TARGET = 8192;

/** The path without query, decoded once; undefined if that fails. Also takes the absolute form. */
export function pathOfRequest({ url = '' }: IncomingMessage): string | undefined {
  const target = /^https?:\/\/[^/?#]*/i.exec(url)?.[0] ?? '';
  try {
    return decodeURIComponent(url.slice(target.length).replace(/[?#].*$/s, ''));
  } catch {
    return undefined;
  }
}

/**
 * A request target for a line of the log: visible ASCII as it came, all else and what could end a field escaped, so
 * that no request writes a line or a field of its own.
 */
export function targetForLog({ url = '' }: Pick<IncomingMessage, 'url'>): string {
  const shown = url.length > MAX_LOGGED ? `${url.slice(0, MAX_LOGGED)}...` : url;
  return shown.replace(
    /[^\x21-\x7e]|["\\]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

const MAX_LOGGED = 512;

/** RFC 9110, 7.2: a host name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. */
export function isHost(text: string): boolean {
  const match =
    /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})|\[[0-9a-fA-F:.]{2,45}\])(?::(\d{1,5}))?$/.exec(text);
  return match !== null && Number(match[1] ?? 0) <= 65_535 && URL.canParse(`http://${text}/`);
}

/** `https://mirror.example.com/coreos`, without a slash at the end. Throws UsageError `PUBLIC_URL`. */
export function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    /^https?:\/\//i.test(text) &&
    !/[\s"'<>\\^`{|}]/.test(text) &&
    url.username + url.password + url.search + url.hash === '' &&
    !/[?#]$/.test(text);
  if (url && isPlain) return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  throw new UsageError(`${text} is not a URL that clients could use`, {
    code: 'PUBLIC_URL',
    hint: 'give an http or https URL without login, query and fragment: https://mirror.example.com',
  });
}
