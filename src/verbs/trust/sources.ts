import * as v from 'valibot';
import type { TrustedStream } from '../../bundle/trust.ts';
import { IoError, UsageError } from '../../core/errors.ts';
import { readBody } from '../../core/http/body.ts';
import type { Http } from '../../core/http/client.ts';
import { refusedBy } from '../../core/http/fetch-file.ts';
import { isLoopbackHost, shown } from '../../core/http/origin.ts';
import { withRetries } from '../../core/http/retry.ts';
import { TransportError } from '../../core/http/transport-error.ts';
import { sha256Of } from '../../core/io/digest.ts';
import { readWhole } from '../../core/io/regular.ts';
import { decodeStream, MAX_STREAM_BYTES } from '../../release/stream/read.ts';
import type { Stream } from '../../release/stream/schema.ts';

export interface ReadOptions {
  readonly http: () => Http;
  readonly signal?: AbortSignal | undefined;
}

/** Reads a small document that the user trusts: from a file, or from an `https://` URL without redirects to HTTP. */
export async function readVoucher(name: string, { http, signal }: ReadOptions): Promise<Buffer> {
  if (!/^[a-z]+:\/\//i.test(name)) {
    return readWhole(name, {
      limit: MAX_STREAM_BYTES,
      what: 'the stream JSON',
      hint: 'name a file or an https URL',
      signal,
    });
  }
  const url = URL.canParse(name) ? new URL(name) : undefined;
  const isSafe =
    url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopbackHost(url.hostname));
  if (!isSafe) {
    throw new UsageError(`${name} cannot be trusted: it is neither a file nor an https URL`, {
      code: 'TRUST_SOURCE',
      hint: 'name a file, or a URL that begins with https://',
    });
  }
  return fetchStream(name, { http, signal });
}

/** Fetches a stream JSON; no redirect may lead from https to http, because its digest is not known. */
export async function fetchStream(url: string, { http, signal }: ReadOptions): Promise<Buffer> {
  try {
    return await withRetries({ signal }, async () => {
      using response = await http().request(url, { signal });
      if (!response.ok) throw refusedBy(response, url);
      return await readBody(response, MAX_STREAM_BYTES, 'the stream JSON');
    });
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    throw new IoError(`cannot fetch ${shown(url)}: ${error.message}`, {
      code: 'DOWNLOAD',
      context: { url: shown(url) },
      hint: 'fetch it by other means, and name the file',
      cause: error,
    });
  }
}

export async function readTrusted(name: string, options: ReadOptions): Promise<TrustedStream> {
  const bytes = await readVoucher(name, options);
  return { name, sha256: sha256Of(bytes), stream: decodeTrusted(bytes, name) };
}

/** OpenShift's ConfigMap `coreos-bootimages`, which holds the stream JSON as text. */
const configMapSchema = v.object({
  kind: v.literal('ConfigMap'),
  data: v.object({ stream: v.string() }),
});

/** Decodes a stream or release JSON, or a ConfigMap that holds one. */
function decodeTrusted(bytes: Buffer, name: string): Stream {
  let document: unknown;
  try {
    document = JSON.parse(bytes.toString('utf8'));
  } catch {
    return decodeStream(bytes, name); // for its error message
  }
  const map = v.safeParse(configMapSchema, document);
  return decodeStream(map.success ? Buffer.from(map.output.data.stream) : bytes, name);
}
