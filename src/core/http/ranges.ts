import type { HttpResponse } from './client.ts';

/** A server's answer to a request for a file, or for the rest of it. */
export type Answer =
  /** Bytes from `start` to the end. */
  | {
      readonly kind: 'bytes';
      readonly start: number;
      /** Of the whole file. */
      readonly total: number | undefined;
      /** A strong one; a weak one says nothing about bytes (RFC 9110, 8.8.1). */
      readonly etag: string | undefined;
      /** The server does not support ranges. */
      readonly noRanges: boolean;
    }
  /** Nothing is left to send. */
  | { readonly kind: 'complete' }
  /** Neither the whole file nor the requested range, or the file has changed. */
  | { readonly kind: 'other' };

/** Reads the status and headers of RFC 9110, 14, as far as a request for `bytes=FROM-` may be answered. */
export function readAnswer(
  response: Pick<HttpResponse, 'status' | 'header'>,
  from: number,
  known: { readonly etag: string | undefined; readonly total: number | undefined },
): Answer {
  const { status, header } = response;
  if (status === 416) {
    const whole = /^bytes \*\/(\d+)$/.exec(header('content-range') ?? '')?.[1];
    const isAll = from > 0 && (whole === undefined || Number(whole) === from);
    return { kind: isAll ? 'complete' : 'other' };
  }
  const etag = /^"[^"]*"$/.exec(header('etag') ?? '')?.[0];
  const length = Number(/^\d+$/.exec(header('content-length') ?? '')?.[0] ?? Number.NaN);
  const noRanges = header('accept-ranges')?.trim().toLowerCase() === 'none';
  if (status === 200) {
    const total = Number.isNaN(length) ? undefined : length;
    return { kind: 'bytes', start: 0, total, etag, noRanges };
  }
  const [, start, last, whole] =
    /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(header('content-range') ?? '') ?? [];
  // 206 in response to a request without a range, 204, and any other success.
  if (status !== 206 || from === 0 || Number(start) !== from) return { kind: 'other' };
  const total = whole === '*' ? undefined : Number(whole);
  const isSame =
    (known.etag === undefined || etag === undefined || known.etag === etag) &&
    (known.total === undefined || total === undefined || known.total === total);
  const isRest = total === undefined || Number(last) === total - 1;
  if (!isSame || !isRest) return { kind: 'other' };
  return { kind: 'bytes', start: from, total, etag: etag ?? known.etag, noRanges: false };
}
