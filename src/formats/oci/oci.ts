import * as v from 'valibot';
import type { Sha256 } from '../../core/io/digest.ts';
import { canonicalJson } from '../../core/json/canonical.ts';
import { sizeField, textField } from '../../core/json/fields.ts';
import { parseJson } from '../../core/json/parse.ts';
import { OCI_INDEX, OCI_MANIFEST } from './media-types.ts';

/**
 * The documents of an OCI image layout: image-spec v1.1 `image-layout.md`, `image-index.md`,
 * `manifest.md`, `descriptor.md`. Pure: bytes in, values out and back.
 */

const mediaTypeField = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9!#$&^_.+-]{1,127}\/[A-Za-z0-9!#$&^_.+-]{1,127}$/, 'expected a media type'),
);

const annotationsField = v.record(v.pipe(v.string(), v.maxLength(256)), textField(4096));

const descriptorSchema = v.object({
  mediaType: mediaTypeField,
  digest: v.pipe(
    v.string(),
    v.regex(/^sha256:[0-9a-f]{64}$/, 'expected "sha256:" and 64 lower-case hex digits'),
    v.transform((text) => text as `sha256:${string}`),
  ),
  size: sizeField,
  artifactType: v.optional(mediaTypeField),
  platform: v.optional(v.object({ architecture: textField(64), os: textField(64) })),
  annotations: v.optional(annotationsField),
});

export type Descriptor = v.InferOutput<typeof descriptorSchema>;

const MAX_MANIFESTS = 64;
const MAX_LAYERS = 4096;

const indexSchema = v.object({
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.literal(OCI_INDEX)),
  artifactType: v.optional(mediaTypeField),
  manifests: v.pipe(v.array(descriptorSchema), v.maxLength(MAX_MANIFESTS)),
  annotations: v.optional(annotationsField),
});

const manifestSchema = v.object({
  schemaVersion: v.literal(2),
  mediaType: v.optional(v.literal(OCI_MANIFEST)),
  artifactType: v.optional(mediaTypeField),
  config: descriptorSchema,
  layers: v.pipe(v.array(descriptorSchema), v.maxLength(MAX_LAYERS)),
  annotations: v.optional(annotationsField),
});

const layoutSchema = v.object({ imageLayoutVersion: v.literal('1.0.0') });

export type OciIndex = v.InferOutput<typeof indexSchema>;
export type OciManifest = v.InferOutput<typeof manifestSchema>;

export function decodeLayout(bytes: Uint8Array, source: string): void {
  parseJson(bytes, layoutSchema, { what: 'oci-layout file', source });
}

export function decodeIndex(bytes: Uint8Array, source: string): OciIndex {
  return parseJson(bytes, indexSchema, { what: 'OCI image index', source });
}

export function decodeManifest(bytes: Uint8Array, source: string): OciManifest {
  return parseJson(bytes, manifestSchema, { what: 'OCI image manifest', source });
}

export function encodeLayout(): Buffer {
  return canonicalJson({ imageLayoutVersion: '1.0.0' });
}

export function encodeIndex(index: Omit<OciIndex, 'schemaVersion' | 'mediaType'>): Buffer {
  return canonicalJson({ ...index, schemaVersion: 2, mediaType: OCI_INDEX });
}

export function encodeManifest(manifest: Omit<OciManifest, 'schemaVersion' | 'mediaType'>): Buffer {
  return canonicalJson({ ...manifest, schemaVersion: 2, mediaType: OCI_MANIFEST });
}

/** The digest's hex digits, i.e. the blob's file name: validated, so it can be no other path. */
export function digestHex({ digest }: Pick<Descriptor, 'digest'>): Sha256 {
  return digest.slice('sha256:'.length) as Sha256;
}
