import { type Arch, OCI_ARCHITECTURE } from '../arch.ts';
import type { BlobRef } from '../bundle/blobs.ts';
import {
  ANNOTATION_CODEC,
  ANNOTATION_FILE,
  ANNOTATION_FORMAT,
  ANNOTATION_LAYER,
  ANNOTATION_PLATFORM,
  ANNOTATION_REF_NAME,
  ANNOTATION_TITLE,
  ANNOTATION_VERSION,
  BUNDLE_TYPE,
  CODEC_RECIPE_TYPE,
  DELTA_TYPE,
  ISO_TYPE,
  OCI_INDEX,
  OCI_MANIFEST,
  RECIPES_TYPE,
  STREAM_TYPE,
} from '../bundle/media-types.ts';
import { type Descriptor, encodeIndex, encodeManifest, type OciManifest } from '../bundle/oci.ts';
import { encodeRecipes, type Recipes } from '../bundle/recipes.ts';
import type { BundleWriter } from '../bundle/write.ts';

/** Writes an architecture's recipe and artifact manifests; returns the latter's index entry. */
export async function addManifest(writer: BundleWriter, recipes: Recipes): Promise<Descriptor> {
  const config = await writer.addBytes(encodeRecipes(recipes));
  const manifest = encodeManifest({
    artifactType: BUNDLE_TYPE,
    config: descriptor(RECIPES_TYPE, config),
    layers: layersOf(recipes),
    annotations: {
      [ANNOTATION_TITLE]: `${recipes.stream.name} ${recipes.release} ${recipes.architecture}`,
      [ANNOTATION_VERSION]: recipes.release,
    },
  });
  return {
    ...descriptor(OCI_MANIFEST, await writer.addBytes(manifest)),
    artifactType: BUNDLE_TYPE,
    platform: platformOf(recipes.architecture),
    annotations: { [ANNOTATION_VERSION]: recipes.release },
  };
}

/**
 * Writes the one index over all architectures, which is what a registry gets and a signature covers,
 * and index.json, which names it by the release.
 */
export async function addIndex(
  writer: BundleWriter,
  manifests: readonly Descriptor[],
  release: string,
): Promise<void> {
  const inner = await writer.addBytes(
    encodeIndex({ artifactType: BUNDLE_TYPE, manifests: [...manifests] }),
  );
  const entry: Descriptor = {
    ...descriptor(OCI_INDEX, inner),
    artifactType: BUNDLE_TYPE,
    annotations: { [ANNOTATION_REF_NAME]: tagOf(release), [ANNOTATION_VERSION]: release },
  };
  await writer.addIndex({ manifests: [entry] });
}

/** Each blob once, however many artifacts share it: ISO, stream, deltas and codec recipes in order. */
function layersOf({ iso, stream, artifacts }: Recipes): OciManifest['layers'] {
  const layers = new Map<string, Descriptor>();
  const add = (layer: Descriptor) => {
    if (!layers.has(layer.digest)) layers.set(layer.digest, layer);
  };
  if (iso.embedded) {
    add({ ...descriptor(ISO_TYPE, iso), annotations: { [ANNOTATION_TITLE]: iso.name } });
  }
  add({ ...descriptor(STREAM_TYPE, stream), annotations: { [ANNOTATION_TITLE]: 'stream.json' } });
  for (const { recipe, platform, format, file, name } of artifacts) {
    const annotations = {
      [ANNOTATION_PLATFORM]: platform,
      [ANNOTATION_FORMAT]: format,
      [ANNOTATION_FILE]: file,
    };
    if (recipe.kind === 'delta' || recipe.kind === 'container') {
      add({
        ...descriptor(DELTA_TYPE, recipe.delta),
        annotations: { ...annotations, [ANNOTATION_TITLE]: `${name}.rdiff.zst` },
      });
    }
    if (recipe.kind !== 'container') continue;
    for (const [index, layer] of recipe.layers.entries()) {
      add({
        ...descriptor(CODEC_RECIPE_TYPE, layer.recipe),
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

function descriptor(mediaType: string, { sha256, size }: BlobRef): Descriptor {
  return { mediaType, digest: `sha256:${sha256}`, size };
}

function platformOf(arch: Arch): { architecture: string; os: string } {
  return { architecture: OCI_ARCHITECTURE[arch], os: 'linux' };
}

/** A release as a registry tag: distribution-spec `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. */
function tagOf(release: string): string {
  const tag = release.replace(/[^A-Za-z0-9._-]/g, '-').replace(/^[.-]+/, '');
  return tag.slice(0, 128) || 'latest';
}
