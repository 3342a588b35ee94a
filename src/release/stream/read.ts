import { open } from 'node:fs/promises';
import * as v from 'valibot';
import { FormatError } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import { parseJson } from '../../core/json/parse.ts';
import { isReleaseDocument, releaseSchema, streamOfRelease } from './release.ts';
import { type Stream, streamSchema } from './schema.ts';

/** Real streams are some 60 KiB; this leaves room without letting one exhaust memory. */
export const MAX_STREAM_BYTES = 16 << 20;

/** As much of a document as tells which of the two it is. */
const kindSchema = v.looseObject({ release: v.optional(v.unknown()) });

/**
 * Decodes stream JSON, or release JSON as the stream that has this release. `source` is for messages.
 * Throws FormatError with the JSON path.
 */
export function decodeStream(bytes: Uint8Array, source: string): Stream {
  const kind = parseJson(bytes, kindSchema, { what: 'stream JSON', source });
  if (!isReleaseDocument(kind)) {
    return parseJson(bytes, streamSchema, { what: 'stream JSON', source });
  }
  return streamOfRelease(parseJson(bytes, releaseSchema, { what: 'release JSON', source }));
}

/** Reads and decodes a stream or release JSON file of at most 16 MiB; keeps the bytes, which travel as they are. */
export async function readStream(path: string): Promise<{ stream: Stream; bytes: Buffer }> {
  let bytes: Buffer;
  try {
    await using handle = await open(path, 'r');
    const { size } = await handle.stat();
    if (size > MAX_STREAM_BYTES) {
      throw new FormatError(`the stream JSON is too large: ${size} bytes`, {
        code: 'TOO_LARGE',
        context: { file: path, size, limit: MAX_STREAM_BYTES },
        hint: 'check that --stream names a CoreOS stream JSON file',
      });
    }
    bytes = await handle.readFile();
  } catch (error) {
    throw osError(error, 'read', path);
  }
  return { stream: decodeStream(bytes, path), bytes };
}
