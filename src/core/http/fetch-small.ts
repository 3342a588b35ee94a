import { IoError, RehydrateError, throwIfAborted } from '../errors.ts';
import { readBody } from './body.ts';
import type { Http } from './client.ts';
import { checkUrl, refusedBy } from './fetch-file.ts';
import { shown } from './origin.ts';
import { type RetryOptions, withRetries } from './retry.ts';

export interface FetchSmallOptions extends RetryOptions {
  readonly http: Http;
  /** Bytes. */
  readonly limit: number;
  /** For messages: `a signature`. */
  readonly what: string;
  readonly hint: string;
}

/** A small file over HTTP, whole. Throws IoError `DOWNLOAD`, FormatError `TOO_LARGE`. */
export async function fetchSmall(url: string, options: FetchSmallOptions): Promise<Buffer> {
  const { http, limit, what, hint, signal } = options;
  checkUrl(url);
  try {
    return await withRetries(options, async () => {
      using response = await http.request(url, { signal, downgrade: true });
      if (!response.ok) throw refusedBy(response, url);
      return await readBody(response, limit, what);
    });
  } catch (error) {
    throwIfAborted(signal);
    if (error instanceof RehydrateError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new IoError(`cannot fetch ${shown(url)}: ${why}`, {
      ...{ code: 'DOWNLOAD', context: { url: shown(url) }, hint, cause: error },
    });
  }
}
