import { FormatError, IoError, RehydrateError } from './errors.ts';
import { transportError } from './http/transport-error.ts';
import { errnoOf, osError } from './io/os-error.ts';

/**
 * Turns an error that a peer, a disk or the system made Node throw into one of ours, wherever it was not
 * expected. Anything else is a bug: nothing outside the program can cause it.
 */
export function ours(error: unknown): unknown {
  if (error instanceof RehydrateError || !(error instanceof Error)) return error;
  // A failure to clean up after another failure: the first one is why the work ended.
  if (error.name === 'SuppressedError' && 'suppressed' in error) return ours(error.suppressed);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (errnoOf(error) !== undefined && 'syscall' in error) {
    const path = 'path' in error && typeof error.path === 'string' ? error.path : undefined;
    return osError(error, String(error.syscall), path ?? 'a file or connection');
  }
  if (NETWORK.test(code) || error.name === 'TransportError') {
    return new IoError(`a connection failed: ${transportError(error).message}`, {
      code: 'IO',
      hint: 'try again',
      cause: error,
    });
  }
  if (errnoOf(error) !== undefined) return osError(error, 'use', 'a file or connection');
  if (/^(Z_|ZSTD_|ERR_ZSTD|ERR_BROTLI)/.test(code)) {
    return new FormatError(`compressed data is damaged: ${error.message}`, {
      code: 'COMPRESSED_DAMAGED',
      hint: 'fetch or copy the file again',
      cause: error,
    });
  }
  if (error instanceof SyntaxError && /JSON/.test(error.message)) {
    return new FormatError(`a JSON document is malformed: ${error.message}`, {
      code: 'JSON_SYNTAX',
      hint: 'fetch or copy the file again',
      cause: error,
    });
  }
  if (OUT_OF_MEMORY.test(`${code} ${error.message}`)) {
    return new IoError(`memory ran out: ${error.message}`, {
      code: 'IO',
      hint: 'use a smaller --jobs, or a host with more memory',
      cause: error,
    });
  }
  // Node's wrappers (`fetch failed`, `terminated`) say less than their cause.
  const cause = error.cause === undefined ? undefined : ours(error.cause);
  return cause instanceof RehydrateError ? cause : error;
}

const NETWORK = /^(UND_ERR_|HPE_|ERR_SSL|ERR_TLS|ERR_HTTP2?_|ERR_STREAM_PREMATURE_CLOSE|EAI_)|CERT/;
const OUT_OF_MEMORY =
  /ERR_WORKER_OUT_OF_MEMORY|ERR_MEMORY_ALLOCATION_FAILED|Array buffer allocation failed/;
