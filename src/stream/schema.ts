import { open } from 'node:fs/promises';
import * as v from 'valibot';
import { FormatError } from '../errors.ts';
import { osError } from '../io/os-error.ts';
import { nameField, sha256Field, textField } from '../json/fields.ts';
import { parseJson } from '../json/parse.ts';

/**
 * CoreOS stream metadata, as much of it as matters here: coreos/stream-metadata-go `stream/stream.go`
 * and https://github.com/coreos/fedora-coreos-tracker design "stream metadata". Members that are not
 * named here (`images`, `metadata`, extensions) are allowed and ignored.
 */
const fileSchema = v.object({
  location: textField(4096),
  signature: v.optional(textField(4096)),
  sha256: sha256Field,
  'uncompressed-sha256': v.optional(sha256Field),
});

const formatSchema = v.object({
  disk: v.optional(fileSchema),
  kernel: v.optional(fileSchema),
  initramfs: v.optional(fileSchema),
  rootfs: v.optional(fileSchema),
});

const platformSchema = v.object({
  release: v.pipe(textField(256), v.minLength(1, 'expected a release name')),
  formats: v.record(nameField, formatSchema),
});

const architectureSchema = v.object({
  artifacts: v.record(nameField, platformSchema),
});

export const streamSchema = v.object({
  stream: v.pipe(textField(256), v.minLength(1, 'expected a stream name')),
  architectures: v.record(nameField, architectureSchema),
});

export type Stream = v.InferOutput<typeof streamSchema>;
export type StreamFile = v.InferOutput<typeof fileSchema>;

/** Real streams are some 60 KiB; this leaves room without letting one exhaust memory. */
export const MAX_STREAM_BYTES = 16 << 20;

/** Decodes stream JSON. `source` is for messages. Throws FormatError with the JSON path. */
export function decodeStream(bytes: Uint8Array, source: string): Stream {
  return parseJson(bytes, streamSchema, { what: 'stream JSON', source });
}

/** Reads and decodes a stream JSON file of at most 16 MiB; keeps the bytes, which travel as they are. */
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
