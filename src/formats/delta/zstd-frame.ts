import { constants, createZstdCompress } from 'node:zlib';
import { FormatError } from '../../core/errors.ts';
import { type Sink, streamSink } from '../../core/io/sink.ts';
import { USUAL_WINDOW_LOG, unzstdAll, unzstdFrame } from '../compressed/zstd.ts';

/**
 * Deltas are nearly always tiny, so they are buffered and compressed at the best level. A larger one (a
 * target of new data) is compressed as a stream, at a faster level.
 */
const SMALL = 8 << 20;
const SMALL_LEVEL = 19;
const LARGE_LEVEL = 7;
/** A hostile frame cannot ask for more memory. */
const MAX_WINDOW_LOG = USUAL_WINDOW_LOG;

/**
 * A sink that writes one zstd frame, with content checksum, to `inner`. Single-threaded, so that
 * the same input gives the same frame. `abort` frees it without finishing.
 */
export function zstdSink(inner: Sink): Sink & { finish(): Promise<void>; abort(): void } {
  const small: Buffer[] = [];
  let smallBytes = 0;
  let large: ReturnType<typeof startFrame> | undefined;

  async function spill(): Promise<void> {
    if (large || smallBytes <= SMALL) return;
    large = startFrame(inner, LARGE_LEVEL, undefined);
    for (const piece of small.splice(0)) await large.write(piece);
  }

  return {
    async write(chunk) {
      if (large) return large.write(chunk);
      small.push(Buffer.from(chunk));
      smallBytes += chunk.length;
      return spill();
    },
    async zeros(length) {
      if (!large && smallBytes + length <= SMALL) {
        small.push(Buffer.alloc(length));
        smallBytes += length;
        return;
      }
      smallBytes += length;
      await spill();
      await large?.zeros(length);
    },
    async finish() {
      const frame = large ?? startFrame(inner, SMALL_LEVEL, smallBytes);
      for (const piece of small.splice(0)) await frame.write(piece);
      await frame.finish();
    },
    abort() {
      large?.abort();
    },
  };
}

function startFrame(inner: Sink, level: number, size: number | undefined) {
  const zstd = createZstdCompress({
    ...(size === undefined ? {} : { pledgedSrcSize: size }),
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
  const drained = (async () => {
    for await (const chunk of zstd) await inner.write(chunk);
  })();
  drained.catch(() => zstd.destroy()); // reported by `finish` or by the next write
  const sink = streamSink(zstd);
  // If `inner` fails, nothing drains zstd any more: do not wait for it.
  const orFail = (step: Promise<void>) => Promise.race([step, drained.then(() => step)]);
  return {
    write: (chunk: Uint8Array) => orFail(sink.write(chunk)),
    zeros: (length: number) => orFail(sink.zeros(length)),
    async finish() {
      zstd.end();
      await drained;
    },
    abort: () => zstd.destroy(),
  };
}

/** Decompresses a zstd stream chunk by chunk. Throws FormatError `DELTA_ZSTD` on damage. */
export async function* unzstd(
  name: string,
  compressed: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const options = { chunkSize: 1 << 18, maxWindowLog: MAX_WINDOW_LOG };
  try {
    for await (const chunk of unzstdAll(compressed, options)) {
      if (signal?.aborted) throw signal.reason;
      yield chunk;
    }
  } catch (error) {
    throw damagedZstd(name, error);
  }
}

/** Like {@link unzstd}, for one small frame at once; undefined if it unpacks to more than `limit` bytes. */
export function unzstdAtOnce(name: string, compressed: Uint8Array, limit: number) {
  try {
    return unzstdFrame(compressed, { maxLength: limit, maxWindowLog: MAX_WINDOW_LOG });
  } catch (error) {
    throw damagedZstd(name, error);
  }
}

function damagedZstd(name: string, error: unknown): unknown {
  if (!isZlibError(error)) return error;
  return new FormatError(`${name}: damaged zstd stream (${error.message})`, {
    code: 'DELTA_ZSTD',
    context: { delta: name },
    hint: 'this delta is damaged: pull or copy the bundle again',
    cause: error,
  });
}

function isZlibError(error: unknown): error is Error & { code: string } {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    (error.code.startsWith('ZSTD_') || error.code.startsWith('Z_'))
  );
}
