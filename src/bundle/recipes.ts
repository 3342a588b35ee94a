import * as v from 'valibot';
import { BASE_NAMES, type BaseName, CONTAINERS, type Container } from '../../images/platforms.ts';
import { MAX_LAYERS } from '../codec/codec.ts';
import { targetSizeOf } from '../codec/released/layer.ts';
import { ARCHITECTURES, type Arch } from '../core/arch.ts';
import type { CodeOf } from '../core/error-codes.ts';
import { FormatError } from '../core/errors.ts';
import type { BlobRef, Sha256 } from '../core/io/digest.ts';
import { canonicalJson } from '../core/json/canonical.ts';
import {
  countField,
  fileNameField,
  nameField,
  sha256Field,
  sizeField,
  textField,
} from '../core/json/fields.ts';
import { parseJson } from '../core/json/parse.ts';
import {
  type ArtifactId,
  ATTESTATIONS,
  type Attestation,
  artifactIdFields,
  idText,
} from '../release/stream/artifacts.ts';
import { COMPRESSIONS, type Compression } from '../release/stream/names.ts';
import { knownLayer, type RecordedLayer, recordedLayerField } from './released-layer.ts';

/**
 * The recipe manifest: one architecture's config blob. It describes how every artifact is made from the
 * ISO, with the SHA-256 of the result. Unknown members are ignored, another version is refused: 2 has
 * containers, which a reader of 1 could not skip.
 */
export const RECIPES_VERSION = 2;
/** For metal disks that are made from the base `files`, which readers of version 2 do not know. */
export const FILES_VERSION = 3;

/** How an artifact is made. */
export type Recipe =
  /** The artifact is the ISO itself. */
  | { readonly kind: 'iso' }
  /** The artifact is identical to a regenerated disk. */
  | { readonly kind: 'base'; readonly base: Exclude<BaseName, 'iso'> }
  /** Patch `base` with the delta blob. */
  | { readonly kind: 'delta'; readonly base: BaseName; readonly delta: BlobRef }
  /** Patch `base` with the delta blob into `payload` and wrap it in `layers`, from the last one to the first. */
  | {
      readonly kind: 'container';
      readonly base: BaseName;
      readonly delta: BlobRef;
      readonly payload: RecipePayload;
      /** Outermost first; at least one. */
      readonly layers: readonly RecipeLayer[];
    };

/** The contents of the innermost container, usually a raw disk. */
export interface RecipePayload {
  /** Bytes. */
  readonly size: number;
  /** For other tools that check the payload; absent if hashing it would be slow. */
  readonly sha256?: Sha256 | undefined;
}

export interface RecipeLayer {
  /** The codec that encodes it; this version may not know it. */
  readonly codec: string;
  /** The deflaters it needs; this version may not know them either. */
  readonly requires: readonly string[];
  /** The codec's recipe, in one zstd frame. */
  readonly recipe: BlobRef;
}

/** The blobs besides the ISO that are needed to make a base. */
export function blobsOfBase({ bases, files }: Recipes, base: BaseName): readonly BlobRef[] {
  const delta = base === 'iso' ? undefined : bases[base]?.delta;
  return delta && files ? [files.contents, delta] : [];
}

/** The blobs that a recipe needs besides its base, delta first. */
export function blobsOf(recipe: Recipe): readonly BlobRef[] {
  if (recipe.kind === 'delta') return [recipe.delta];
  if (recipe.kind !== 'container') return [];
  return [recipe.delta, ...recipe.layers.map((layer) => layer.recipe)];
}

/** A metal disk: unpacked from an osmet of the ISO, or patched from the base `files`. */
export type MetalBase = BlobRef & {
  /** From `files`; undefined if the ISO's osmet has the disk. */
  readonly delta?: BlobRef | undefined;
};

/** The base `files`: contents of files, one after the other, as the list says. */
export type FilesBase = BlobRef & {
  /** See src/engine/files/contents.ts; in one zstd frame. */
  readonly contents: BlobRef;
  /** How many there are. */
  readonly count: number;
  /** Whether the root image of the ISO has them all. */
  readonly iso: boolean;
  /** Container images that together have all of them, under the names that the user gave. */
  readonly containers: readonly string[];
  /** Files of the disk that not every source has; they are in the deltas. */
  readonly lacking: {
    readonly count: number;
    /** Bytes. */
    readonly bytes: number;
    readonly largest: readonly { readonly path: string; readonly size: number }[];
  };
};

export interface RecipeArtifact extends ArtifactId {
  readonly release: string;
  /** Name, size in bytes and SHA-256 of the target. */
  readonly name: string;
  readonly size: number;
  readonly sha256: Sha256;
  /** Where that SHA-256 comes from. */
  readonly attestation: Attestation;
  readonly compression: Compression;
  readonly container: Container;
  /** The released file. `size` is missing if only the stream was available. */
  readonly released: {
    readonly name: string;
    readonly location: string;
    readonly sha256: Sha256;
    readonly size?: number | undefined;
    /** How the target is compressed to this file; absent if that cannot be done again, or was not tried. */
    readonly layer?: RecordedLayer | undefined;
    /** The release's detached OpenPGP signature of it, if available. */
    readonly signature?: BlobRef | undefined;
  };
  readonly recipe: Recipe;
}

/** An artifact of the release that the bundle does not cover. */
export interface MissingArtifact extends ArtifactId {
  readonly release: string;
  readonly name: string;
  readonly reason: string;
}

export interface Recipes {
  readonly schemaVersion: typeof RECIPES_VERSION | typeof FILES_VERSION;
  readonly architecture: Arch;
  /** The release of the ISO, and therefore of all artifacts. */
  readonly release: string;
  /** The stream JSON's own name, and the blob that holds it. */
  readonly stream: BlobRef & { readonly name: string };
  readonly iso: BlobRef & {
    readonly name: string;
    readonly location: string;
    /** Whether the bundle holds it. */
    readonly embedded: boolean;
  };
  readonly bases: {
    readonly metal?: MetalBase | undefined;
    readonly metal4k?: MetalBase | undefined;
  };
  /** Only of version 3. */
  readonly files?: FilesBase | undefined;
  readonly artifacts: readonly RecipeArtifact[];
  readonly missing: readonly MissingArtifact[];
}

const MAX_ARTIFACTS = 4096;

/** Bytes of a detached signature: a few hundred per key. */
export const MAX_SIGNATURE = 1 << 20;

const blobFields = { sha256: sha256Field, size: sizeField };

const metalSchema = v.object({ ...blobFields, delta: v.optional(v.object(blobFields)) });

const filesSchema = v.object({
  ...blobFields,
  contents: v.object(blobFields),
  count: countField,
  iso: v.boolean(),
  containers: v.pipe(v.array(textField(4096)), v.maxLength(64)),
  lacking: v.object({
    count: countField,
    bytes: sizeField,
    largest: v.pipe(v.array(v.object({ path: textField(4096), size: sizeField })), v.maxLength(64)),
  }),
});

const layerSchema = v.object({
  codec: nameField,
  requires: v.pipe(v.array(nameField), v.maxLength(16, 'expected at most 16 names')),
  recipe: v.object(blobFields),
});

const recipeSchema = v.variant('kind', [
  v.object({ kind: v.literal('iso') }),
  v.object({ kind: v.literal('base'), base: v.picklist(['metal', 'metal4k']) }),
  v.object({
    kind: v.literal('delta'),
    base: v.picklist(BASE_NAMES),
    delta: v.object(blobFields),
  }),
  v.object({
    kind: v.literal('container'),
    base: v.picklist(BASE_NAMES),
    delta: v.object(blobFields),
    payload: v.object({ size: sizeField, sha256: v.optional(sha256Field) }),
    layers: v.pipe(
      v.array(layerSchema),
      v.minLength(1, 'expected a layer'),
      v.maxLength(MAX_LAYERS, `expected at most ${MAX_LAYERS} layers`),
    ),
  }),
]);

const artifactSchema = v.object({
  ...artifactIdFields,
  release: textField(256),
  name: fileNameField,
  ...blobFields,
  attestation: v.picklist(ATTESTATIONS),
  compression: v.picklist([...COMPRESSIONS, 'none']),
  container: v.picklist(CONTAINERS),
  released: v.object({
    name: fileNameField,
    location: textField(4096),
    sha256: sha256Field,
    size: v.optional(sizeField),
    layer: v.optional(recordedLayerField),
    signature: v.optional(
      v.object({
        sha256: sha256Field,
        size: v.pipe(sizeField, v.maxValue(MAX_SIGNATURE, `expected at most ${MAX_SIGNATURE}`)),
      }),
    ),
  }),
  recipe: recipeSchema,
});

const missingSchema = v.object({
  ...artifactIdFields,
  release: textField(256),
  name: fileNameField,
  reason: textField(1024),
});

const recipesSchema: v.GenericSchema<unknown, Recipes> = v.object({
  schemaVersion: v.picklist(
    [RECIPES_VERSION, FILES_VERSION],
    'this bundle needs another version of iso-rehydrate',
  ),
  architecture: v.picklist(ARCHITECTURES),
  release: textField(256),
  stream: v.object({ name: textField(256), ...blobFields }),
  iso: v.object({
    name: fileNameField,
    location: textField(4096),
    ...blobFields,
    embedded: v.boolean(),
  }),
  bases: v.object({
    metal: v.optional(metalSchema),
    metal4k: v.optional(metalSchema),
  }),
  files: v.optional(filesSchema),
  artifacts: v.pipe(v.array(artifactSchema), v.maxLength(MAX_ARTIFACTS)),
  missing: v.pipe(v.array(missingSchema), v.maxLength(MAX_ARTIFACTS)),
});

/**
 * Decodes an untrusted recipe manifest. Throws FormatError with the JSON path; `RECIPES_BASE` if an
 * artifact needs a base that is not described, `RECIPES_TWICE` if an artifact is listed twice, and
 * `RECIPES_CONFLICT` if a recipe cannot give the size and SHA-256 that its artifact claims.
 */
export function decodeRecipes(bytes: Uint8Array, source: string): Recipes {
  const recipes = parseJson(bytes, recipesSchema, { what: 'recipe manifest', source });
  const fail = (code: CodeOf<'format'>, message: string, at: string) =>
    new FormatError(`the recipe manifest is inconsistent at ${at}: ${message}`, {
      code,
      context: { file: source, jsonPath: at },
    });
  const isPatched = Object.values(recipes.bases).some((base) => base?.delta !== undefined);
  if (isPatched !== (recipes.files !== undefined)) {
    throw fail('RECIPES_BASE', 'base files and its deltas belong together', '$.bases');
  }
  if (isPatched !== (recipes.schemaVersion === FILES_VERSION)) {
    throw fail('RECIPES_BASE', 'base files is of another version', '$.schemaVersion');
  }
  const seen = new Set<string>();
  for (const [index, artifact] of recipes.artifacts.entries()) {
    const at = `$.artifacts[${index}]`;
    const id = idText(artifact);
    if (seen.has(id)) throw fail('RECIPES_TWICE', `${id} is listed twice`, at);
    seen.add(id);
    const { recipe } = artifact;
    if (recipe.kind !== 'iso' && recipe.base !== 'iso' && !recipes.bases[recipe.base]) {
      throw fail('RECIPES_BASE', `base ${recipe.base} is not described`, `${at}.recipe.base`);
    }
    const whole = recipe.kind === 'iso' ? recipes.iso : wholeBase(recipes, recipe);
    if (whole && (whole.sha256 !== artifact.sha256 || whole.size !== artifact.size)) {
      throw fail('RECIPES_CONFLICT', `${id} is not what its recipe gives`, at);
    }
    if (!isLayerRight(artifact)) {
      const where = `${at}.released.layer`;
      throw fail('RECIPES_CONFLICT', `${id} is not what this layer is for`, where);
    }
  }
  return recipes;
}

/** Whether the layer is between this target and this released file. */
function isLayerRight({ compression, size, released }: RecipeArtifact): boolean {
  const layer = knownLayer(released.layer);
  if (layer === undefined) return released.layer === undefined || compression !== 'none';
  const targetSize = targetSizeOf(layer) ?? size;
  return layer.kind === compression && targetSize === size && released.size !== undefined;
}

function wholeBase(recipes: Recipes, recipe: Recipe): BlobRef | undefined {
  return recipe.kind === 'base' ? recipes.bases[recipe.base] : undefined;
}

export function encodeRecipes(recipes: Recipes): Buffer {
  return canonicalJson(recipes);
}

/** The base that an artifact is made from. */
export function baseOf({ recipe }: RecipeArtifact): BaseName {
  return recipe.kind === 'iso' ? 'iso' : recipe.base;
}
