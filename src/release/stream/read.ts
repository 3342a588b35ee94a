import * as v from 'valibot';
import { readWhole } from '../../core/io/regular.ts';
import { parseJson } from '../../core/json/parse.ts';
import { isMetaDocument, metaSchema, streamOfMeta } from './meta.ts';
import { isReleaseDocument, releaseSchema, streamOfRelease } from './release.ts';
import { type Stream, streamSchema } from './schema.ts';

/** Real streams are some 60 KiB; this leaves room without letting one exhaust memory. */
export const MAX_STREAM_BYTES = 16 << 20;

/** The members that show which of the three kinds a document is. */
const kindSchema = v.looseObject({ release: v.optional(v.unknown()) });

/**
 * Decodes stream JSON, or release JSON and coreos-assembler's meta.json as the stream that has this release. `source` is for messages.
 * Throws FormatError with the JSON path.
 */
export function decodeStream(bytes: Uint8Array, source: string): Stream {
  const kind = parseJson(bytes, kindSchema, { what: 'stream JSON', source });
  if (isMetaDocument(kind)) {
    const meta = parseJson(bytes, metaSchema, { what: 'build metadata (meta.json)', source });
    return streamOfMeta(meta, source);
  }
  if (!isReleaseDocument(kind)) {
    return parseJson(bytes, streamSchema, { what: 'stream JSON', source });
  }
  return streamOfRelease(parseJson(bytes, releaseSchema, { what: 'release JSON', source }));
}

/**
 * Reads and decodes a stream or release JSON file of at most 16 MiB; keeps the bytes, which go into the
 * bundle unchanged.
 */
export async function readStream(
  path: string,
  signal?: AbortSignal,
): Promise<{ stream: Stream; bytes: Buffer }> {
  const bytes = await readWhole(path, {
    limit: MAX_STREAM_BYTES,
    what: 'the stream JSON',
    hint: 'check that --stream names a CoreOS stream JSON file',
    signal,
  });
  return { stream: decodeStream(bytes, path), bytes };
}
