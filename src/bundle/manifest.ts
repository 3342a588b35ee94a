import { type Arch, OCI_ARCHITECTURE } from '../core/arch.ts';
import { FormatError, IntegrityError } from '../core/errors.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { sha256Of } from '../core/io/digest.ts';
import { OCI_MANIFEST } from '../formats/oci/media-types.ts';
import {
  type Descriptor,
  digestHex,
  encodeManifest,
  type OciManifest,
} from '../formats/oci/oci.ts';
import {
  ANNOTATION_CODEC,
  ANNOTATION_FILE,
  ANNOTATION_FORMAT,
  ANNOTATION_LAYER,
  ANNOTATION_PLATFORM,
  ANNOTATION_TITLE,
  ANNOTATION_VERSION,
  BUNDLE_TYPE,
  CODEC_RECIPE_TYPE,
  CONTENTS_TYPE,
  DELTA_TYPE,
  ISO_TYPE,
  RECIPES_TYPE,
  SIGNATURE_TYPE,
  STREAM_TYPE,
} from './media-types.ts';
import { encodeRecipes, type Recipes } from './recipes.ts';

/** The two documents that make a bundle of an architecture's blobs. */
export interface ArchManifest {
  /** The config blob: recipes. */
  readonly config: Buffer;
  readonly manifest: Buffer;
  /** Of the manifest, for the index over the architectures. */
  readonly descriptor: Descriptor;
}

export function encodeArchManifest(recipes: Recipes): ArchManifest {
  const config = encodeRecipes(recipes);
  const manifest = encodeManifest({
    artifactType: BUNDLE_TYPE,
    config: descriptorOf(RECIPES_TYPE, refTo(config)),
    layers: layersOf(recipes),
    annotations: {
      [ANNOTATION_TITLE]: titleOf(recipes),
      [ANNOTATION_VERSION]: recipes.release,
    },
  });
  return {
    config,
    manifest,
    descriptor: {
      ...descriptorOf(OCI_MANIFEST, refTo(manifest)),
      artifactType: BUNDLE_TYPE,
      platform: platformOf(recipes.architecture),
      annotations: { [ANNOTATION_VERSION]: recipes.release },
    },
  };
}

/**
 * Compares an architecture's manifest and its entry in the index with the recipes, whose data they repeat for
 * tools that do not read recipes. Missing data is not a contradiction, because some tools drop fields that they do not
 * know. Throws FormatError `LAYER_ABSENT`, IntegrityError `MANIFEST_DIFFERS`.
 */
export function checkManifest(
  recipes: Recipes,
  manifest: OciManifest,
  { digest, platform, annotations }: Descriptor,
): void {
  const expectSame = (what: string, found: string | undefined, recorded: string | undefined) => {
    if (found === undefined || found === recorded) return;
    throw new IntegrityError(`the bundle contradicts itself: ${what} of manifest ${digest}`, {
      code: 'MANIFEST_DIFFERS',
      context: { architecture: recipes.architecture, manifest: found, recipes: recorded },
      hint: 'do not use this bundle: fetch it again and verify its signature',
    });
  };
  const known = platformOf(recipes.architecture);
  expectSame('the architecture', platform?.architecture, known.architecture);
  expectSame('the operating system', platform?.os, known.os);
  expectSame('the release', annotations?.[ANNOTATION_VERSION], recipes.release);
  expectSame('the release', manifest.annotations?.[ANNOTATION_VERSION], recipes.release);
  expectSame('the title', manifest.annotations?.[ANNOTATION_TITLE], titleOf(recipes));
  const found = new Map<string, Descriptor>();
  for (const layer of manifest.layers) {
    const { mediaType } = found.get(layer.digest) ?? layer;
    expectSame(`the type of ${layer.digest}`, layer.mediaType, mediaType);
    found.set(layer.digest, layer);
  }
  const expected = layersOf(recipes);
  for (const layer of expected) {
    const there = found.get(layer.digest);
    if (there?.size !== layer.size) {
      // Registries carry only what the manifest lists, so this bundle could never be mirrored whole.
      const name = `blob ${digestHex(layer)} of ${layer.size} bytes`;
      throw new FormatError(`${name} is not among the layers`, {
        code: 'LAYER_ABSENT',
        context: { manifest: digest },
      });
    }
    expectSame(`the type of ${layer.digest}`, there.mediaType, layer.mediaType);
    for (const [name, value] of Object.entries(layer.annotations ?? {})) {
      expectSame(`${name} of ${layer.digest}`, there.annotations?.[name], value);
    }
  }
  const recorded = new Set(expected.map((layer) => layer.digest));
  for (const layer of found.values()) {
    // A layer of one of our types that no recipe lists would look like a part of the release.
    if (!OUR_LAYERS.has(layer.mediaType) || recorded.has(layer.digest)) continue;
    expectSame(`layer ${layer.digest}`, layer.mediaType, undefined);
  }
}

const OUR_LAYERS: ReadonlySet<string> = new Set([
  ISO_TYPE,
  STREAM_TYPE,
  DELTA_TYPE,
  CODEC_RECIPE_TYPE,
  CONTENTS_TYPE,
  SIGNATURE_TYPE,
]);

const titleOf = ({ stream, release, architecture }: Recipes) =>
  `${stream.name} ${release} ${architecture}`;

/** Each blob once, however many artifacts share it: ISO, stream, base files, deltas and codec recipes, signatures. */
function layersOf({ iso, stream, bases, files, artifacts }: Recipes): OciManifest['layers'] {
  const layers = new Map<string, Descriptor>();
  const add = (layer: Descriptor) => {
    if (!layers.has(layer.digest)) layers.set(layer.digest, layer);
  };
  if (iso.embedded) {
    add({ ...descriptorOf(ISO_TYPE, iso), annotations: { [ANNOTATION_TITLE]: iso.name } });
  }
  add({ ...descriptorOf(STREAM_TYPE, stream), annotations: { [ANNOTATION_TITLE]: 'stream.json' } });
  if (files) {
    const title = { [ANNOTATION_TITLE]: 'files.contents.zst' };
    add({ ...descriptorOf(CONTENTS_TYPE, files.contents), annotations: title });
  }
  for (const [name, base] of Object.entries(bases)) {
    if (base?.delta === undefined) continue;
    const title = { [ANNOTATION_TITLE]: `${name}.rdiff.zst` };
    add({ ...descriptorOf(DELTA_TYPE, base.delta), annotations: title });
  }
  for (const { recipe, platform, format, file, name } of artifacts) {
    const annotations = {
      [ANNOTATION_PLATFORM]: platform,
      [ANNOTATION_FORMAT]: format,
      [ANNOTATION_FILE]: file,
    };
    if (recipe.kind === 'delta' || recipe.kind === 'container') {
      add({
        ...descriptorOf(DELTA_TYPE, recipe.delta),
        annotations: { ...annotations, [ANNOTATION_TITLE]: `${name}.rdiff.zst` },
      });
    }
    if (recipe.kind !== 'container') continue;
    for (const [index, layer] of recipe.layers.entries()) {
      add({
        ...descriptorOf(CODEC_RECIPE_TYPE, layer.recipe),
        annotations: {
          ...annotations,
          [ANNOTATION_TITLE]: `${name}.${index}.${layer.codec}.zst`,
          [ANNOTATION_CODEC]: layer.codec,
          [ANNOTATION_LAYER]: String(index),
        },
      });
    }
  }
  for (const { released, platform, format, file } of artifacts) {
    if (released.signature === undefined) continue;
    add({
      ...descriptorOf(SIGNATURE_TYPE, released.signature),
      annotations: {
        [ANNOTATION_PLATFORM]: platform,
        [ANNOTATION_FORMAT]: format,
        [ANNOTATION_FILE]: file,
        [ANNOTATION_TITLE]: `${released.name}.sig`,
      },
    });
  }
  return [...layers.values()];
}

export function descriptorOf(mediaType: string, { sha256, size }: BlobRef): Descriptor {
  return { mediaType, digest: `sha256:${sha256}`, size };
}

const refTo = (bytes: Uint8Array): BlobRef => ({ sha256: sha256Of(bytes), size: bytes.length });

function platformOf(arch: Arch): { architecture: string; os: string } {
  return { architecture: OCI_ARCHITECTURE[arch], os: 'linux' };
}
