import { FormatError } from '../../core/errors.ts';
import { feedOf } from '../compressed/feed.ts';
import { gunzipAll } from '../compressed/gzip.ts';
import { USUAL_WINDOW_LOG, unzstdAll } from '../compressed/zstd.ts';

/** Maximum size of a chunk of unpacked bytes. */
const CHUNK = 256 << 10;
/** A hostile frame cannot ask for more memory. */
const ZSTD = { chunkSize: CHUNK, maxWindowLog: USUAL_WINDOW_LOG };

/**
 * Unpacks a layer of a container image: gzip of any number of members, zstd of any number of frames, or not
 * compressed at all, which its first bytes show. Throws FormatError `LAYER_DAMAGED`.
 */
export async function* unpackLayer(
  name: string,
  stored: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const iterator = stored[Symbol.asyncIterator]();
  const first = await iterator.next();
  const head = first.done === true ? new Uint8Array() : first.value;
  async function* whole() {
    try {
      if (first.done === true) return;
      yield head;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  const starts = (...magic: number[]) => magic.every((byte, index) => head[index] === byte);
  const isZstd =
    starts(0x28, 0xb5, 0x2f, 0xfd) || starts(0x50 | ((head[0] ?? 0) & 15), 0x2a, 0x4d, 0x18);
  try {
    if (starts(0x1f, 0x8b)) yield* gunzip(whole());
    else if (isZstd) yield* unzstdAll(whole(), ZSTD);
    else yield* whole();
  } catch (error) {
    throw damaged(name, error);
  }
}

async function* gunzip(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const feed = feedOf(stored);
  try {
    yield* gunzipAll(feed, CHUNK);
  } finally {
    await feed.close();
  }
}

function damaged(name: string, error: unknown): unknown {
  const ours =
    error instanceof Error && (!('code' in error) || /^Z_|^ZSTD_/.test(String(error.code)));
  if (!ours || error.constructor.name.endsWith('TypeError')) return error;
  return new FormatError(`${name} is damaged: ${error.message}`, {
    code: 'LAYER_DAMAGED',
    context: { layer: name },
    hint: 'copy or pull the container image again',
    cause: error,
  });
}
