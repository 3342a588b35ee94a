import {
  constants,
  inflateRawSync,
  inflateSync,
  type ZlibOptions,
  type ZstdOptions,
  zstdDecompressSync,
} from 'node:zlib';
import { FormatError, RehydrateError } from '../../core/errors.ts';
import { decodeMicroLzma } from '../xz/micro-lzma.ts';
import { decodeXzBuffer } from '../xz/stream.ts';
import { decodeLz4 } from './lz4.ts';

/** How a block of a root image is stored. */
export type Codec = 'none' | 'zlib' | 'deflate' | 'xz' | 'lz4' | 'zstd' | 'microlzma';

/** How much of a block is wanted: all that it holds, or as many bytes as the limit says. */
export type Extent = 'whole' | 'part';

/**
 * Unpacks one block to at most `limit` bytes. Throws FormatError `ROOT_BLOCK`, whose message lacks the
 * offset, which callers add.
 *
 * For a part, `limit` bytes are returned even if the block holds more.
 */
export function decompress(
  codec: Codec,
  stored: Uint8Array,
  limit: number,
  extent: Extent = 'whole',
): Uint8Array {
  try {
    return decode(codec, stored, limit, extent);
  } catch (error) {
    if (error instanceof RehydrateError && error.kind === 'unsupported') throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new FormatError(`${codec} block is damaged: ${why}`, {
      code: 'ROOT_BLOCK',
      context: { codec },
      hint: 'fetch the ISO again and check its SHA-256',
      cause: error,
    });
  }
}

function decode(codec: Codec, stored: Uint8Array, limit: number, extent: Extent): Uint8Array {
  switch (codec) {
    case 'none':
      if (stored.length > limit && extent === 'whole') throw new Error(`more than ${limit} bytes`);
      return stored.subarray(0, limit);
    case 'zlib':
      return inflateSync(stored, zlibOptions(limit, extent)).subarray(0, limit);
    case 'deflate':
      return inflateRawSync(stored, zlibOptions(limit, extent)).subarray(0, limit);
    case 'zstd':
      return zstdDecompressSync(stored, zstdOptions(limit, extent)).subarray(0, limit);
    case 'xz':
      return decodeXzBuffer(stored, limit);
    case 'microlzma':
      return decodeMicroLzma(stored, limit, extent);
    case 'lz4':
      return decodeLz4(stored, limit, extent);
  }
}

/** The largest block that may be unpacked in part: erofs's Z_EROFS_PCLUSTER_MAX_DSIZE. */
const MAX_WHOLE = 12 << 20;

/** One byte more than expected, so that output of the right size is one chunk and larger output is an error. */
function zlibOptions(limit: number, extent: Extent): ZlibOptions {
  if (extent === 'whole') return { maxOutputLength: limit, chunkSize: Math.max(limit + 1, 64) };
  return { maxOutputLength: MAX_WHOLE, finishFlush: constants.Z_SYNC_FLUSH };
}

function zstdOptions(limit: number, extent: Extent): ZstdOptions {
  if (extent === 'whole') return { maxOutputLength: limit, chunkSize: Math.max(limit + 1, 64) };
  return { maxOutputLength: MAX_WHOLE };
}
