import * as v from 'valibot';
import { nameField, sha256Field, sizeField, textField } from '../../core/json/fields.ts';

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
  /** Bytes of the released file; only build metadata has it. */
  size: v.optional(sizeField),
});

export const formatSchema = v.object({
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
