import { IntegrityError, throwIfAborted } from '../core/errors.ts';
import { askedBy, backOff, isTransient, type RetryOptions } from '../core/http/retry.ts';
import { TransportError } from '../core/http/transport-error.ts';
import { type BlobRef, createHasher } from '../core/io/digest.ts';
import type { Connection } from './connection.ts';

/** Fewer bytes do not count as progress, or a server could keep us busy forever. */
const PROGRESS = 64 << 10;

/**
 * The bytes of a blob as they arrive, continued where a connection breaks off. Its digest is known only at the
 * end: what stops reading before has to prove by other means what it took. Throws IoError `REGISTRY`,
 * IntegrityError `REGISTRY_DIGEST`.
 */
export async function* streamBlob(
  { open, expectOk, explain }: Connection,
  url: string,
  { sha256, size }: BlobRef,
  { signal, ...retry }: RetryOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hasher = createHasher();
  for (let failures = 0; hasher.bytes < size; ) {
    const from = hasher.bytes;
    try {
      const headers = from > 0 ? { range: `bytes=${from}-` } : {};
      using response = await open(url, { headers, downgrade: true });
      await expectOk(response, `give blob ${sha256}`);
      let skip = from;
      if (response.status === 206) {
        const start = /^bytes (\d+)-/.exec(response.header('content-range') ?? '')?.[1];
        if (Number(start) !== from) throw new TransportError('the registry sends a different part');
        skip = 0;
      }
      for await (const chunk of response.body) {
        const bytes = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - bytes.length;
        if (hasher.bytes + bytes.length > size) throw wrong(sha256, `more than ${size} bytes`);
        if (bytes.length === 0) continue;
        hasher.update(bytes);
        yield bytes;
      }
      if (hasher.bytes < size) throw new TransportError('the connection ended early');
    } catch (error) {
      throwIfAborted(signal);
      if (!isTransient(error)) throw explain(error);
      failures = hasher.bytes - from >= PROGRESS ? 1 : failures + 1;
      await backOff(explain(error), failures, { ...retry, signal, asked: askedBy(error) });
    }
  }
  const found = hasher.digest();
  if (found !== sha256) throw wrong(sha256, found);
}

function wrong(sha256: string, found: string): IntegrityError {
  return new IntegrityError(`the registry sends different bytes for blob ${sha256}`, {
    code: 'REGISTRY_DIGEST',
    context: { found },
    hint: 'check the registry and any proxy in front of it',
  });
}
