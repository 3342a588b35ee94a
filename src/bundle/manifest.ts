import { type Arch, OCI_ARCHITECTURE } from '../core/arch.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { sha256Of } from '../core/io/digest.ts';
import { OCI_MANIFEST } from '../formats/oci/media-types.ts';
import { type Descriptor, encodeManifest, type OciManifest } from '../formats/oci/oci.ts';
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
  DELTA_TYPE,
  ISO_TYPE,
  RECIPES_TYPE,
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
      [ANNOTATION_TITLE]: `${recipes.stream.name} ${recipes.release} ${recipes.architecture}`,
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

/** Each blob once, however many artifacts share it: ISO, stream, deltas and codec recipes in order. */
function layersOf({ iso, stream, artifacts }: Recipes): OciManifest['layers'] {
  const layers = new Map<string, Descriptor>();
  const add = (layer: Descriptor) => {
    if (!layers.has(layer.digest)) layers.set(layer.digest, layer);
  };
  if (iso.embedded) {
    add({ ...descriptorOf(ISO_TYPE, iso), annotations: { [ANNOTATION_TITLE]: iso.name } });
  }
  add({ ...descriptorOf(STREAM_TYPE, stream), annotations: { [ANNOTATION_TITLE]: 'stream.json' } });
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
  return [...layers.values()];
}

export function descriptorOf(mediaType: string, { sha256, size }: BlobRef): Descriptor {
  return { mediaType, digest: `sha256:${sha256}`, size };
}

const refTo = (bytes: Uint8Array): BlobRef => ({ sha256: sha256Of(bytes), size: bytes.length });

function platformOf(arch: Arch): { architecture: string; os: string } {
  return { architecture: OCI_ARCHITECTURE[arch], os: 'linux' };
}
