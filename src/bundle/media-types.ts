/** Media types of a bundle, in the vendor tree. */

/** `artifactType` of each architecture's manifest and of the index over them. */
export const BUNDLE_TYPE = 'application/vnd.iso-rehydrate.bundle.v1';
/** The config blob: see `recipes.ts`. */
export const RECIPES_TYPE = 'application/vnd.iso-rehydrate.recipes.v1+json';
/** The live ISO as released. */
export const ISO_TYPE = 'application/vnd.iso-rehydrate.live-iso.v1';
/** The stream JSON that the bundle was made from, byte for byte. */
export const STREAM_TYPE = 'application/vnd.iso-rehydrate.stream.v1+json';
/** librsync delta (magic 0x72730236) in one zstd frame. */
export const DELTA_TYPE = 'application/vnd.iso-rehydrate.delta.v1.rdiff+zstd';
/** A codec's recipe (see `src/codec/recipe-frame.ts`) in one zstd frame. */
export const CODEC_RECIPE_TYPE = 'application/vnd.iso-rehydrate.codec-recipe.v1+zstd';
/** A detached OpenPGP signature of a released file, byte for byte as released. */
export const SIGNATURE_TYPE = 'application/vnd.iso-rehydrate.signature.v1';
/** The list of contents that the base `files` is made of (see `src/engine/files/contents.ts`) in one zstd frame. */
export const CONTENTS_TYPE = 'application/vnd.iso-rehydrate.contents.v1+zstd';

export const ANNOTATION_TITLE = 'org.opencontainers.image.title';
export const ANNOTATION_VERSION = 'org.opencontainers.image.version';
export const ANNOTATION_REF_NAME = 'org.opencontainers.image.ref.name';
export const ANNOTATION_PLATFORM = 'io.github.iso-rehydrate.platform';
export const ANNOTATION_FORMAT = 'io.github.iso-rehydrate.format';
export const ANNOTATION_FILE = 'io.github.iso-rehydrate.file';
/** Of a codec recipe: the codec, and which layer it is, 0 being the outermost. */
export const ANNOTATION_CODEC = 'io.github.iso-rehydrate.codec';
export const ANNOTATION_LAYER = 'io.github.iso-rehydrate.layer';
