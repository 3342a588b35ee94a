import * as v from 'valibot';
import type { Sha256 } from '../../core/io/digest.ts';
import { sizeField, textField } from '../../core/json/fields.ts';
import { parseJson } from '../../core/json/parse.ts';

/**
 * The documents of container images as other tools write them: OCI image-spec v1.1, and Docker's "Image
 * Manifest V 2, Schema 2", whose members have the same names. Media types are ignored: tools omit them or
 * use their own, and the members show the kind of document.
 */

/** Far more than an image can have: the kernel's overlayfs accepts 500. */
const MAX_LAYERS = 1000;
const MAX_MANIFESTS = 1000;

const descriptorSchema = v.object({
  digest: v.pipe(
    v.string(),
    v.regex(/^sha256:[0-9a-f]{64}$/, 'expected "sha256:" and 64 lower-case hex digits'),
    v.transform((text) => text.slice('sha256:'.length) as Sha256),
  ),
  size: sizeField,
});

const indexEntrySchema = v.object({
  ...descriptorSchema.entries,
  platform: v.optional(v.object({ architecture: textField(64), os: textField(64) })),
});

const indexSchema = v.object({
  schemaVersion: v.literal(2),
  manifests: v.pipe(v.array(indexEntrySchema), v.maxLength(MAX_MANIFESTS)),
});

const manifestSchema = v.object({
  schemaVersion: v.literal(2),
  config: descriptorSchema,
  layers: v.pipe(v.array(descriptorSchema), v.maxLength(MAX_LAYERS)),
});

const configSchema = v.object({ architecture: textField(64) });

const archiveSchema = v.pipe(
  v.array(
    v.object({
      Config: textField(1024),
      Layers: v.pipe(v.array(textField(1024)), v.maxLength(MAX_LAYERS)),
    }),
  ),
  v.maxLength(MAX_MANIFESTS),
);

export type ImageDescriptor = v.InferOutput<typeof descriptorSchema>;
export type ImageIndexEntry = v.InferOutput<typeof indexEntrySchema>;
/** Written out, because declaration files cannot name the type inferred from the schema. */
export interface ImageManifest {
  readonly schemaVersion: 2;
  readonly config: ImageDescriptor;
  readonly layers: readonly ImageDescriptor[];
}
export type ArchivedImage = v.InferOutput<typeof archiveSchema>[number];

export type ImageDocument =
  | { readonly kind: 'index'; readonly manifests: readonly ImageIndexEntry[] }
  | ({ readonly kind: 'manifest' } & ImageManifest);

/** An index or a manifest, distinguished by its members. Throws FormatError `JSON_SYNTAX`, `JSON_SCHEMA`. */
export function decodeImageDocument(bytes: Uint8Array, source: string): ImageDocument {
  const about = { what: 'manifest of the container image', source };
  const { manifests } = parseJson(bytes, v.object({ manifests: v.optional(v.unknown()) }), about);
  return manifests === undefined
    ? { kind: 'manifest', ...parseJson(bytes, manifestSchema, about) }
    : { kind: 'index', ...parseJson(bytes, indexSchema, about) };
}

/** The architecture that an image's config names, in Go's spelling. */
export function decodeImageConfig(bytes: Uint8Array, source: string): string {
  return parseJson(bytes, configSchema, { what: 'config of the container image', source })
    .architecture;
}

/** `manifest.json` of an archive by `docker save`. */
export function decodeDockerArchive(bytes: Uint8Array, source: string): readonly ArchivedImage[] {
  return parseJson(bytes, archiveSchema, { what: 'manifest.json of the docker archive', source });
}
