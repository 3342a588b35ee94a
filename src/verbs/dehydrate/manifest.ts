import { descriptorOf, encodeArchManifest } from '../../bundle/manifest.ts';
import { ANNOTATION_REF_NAME, ANNOTATION_VERSION, BUNDLE_TYPE } from '../../bundle/media-types.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import type { BundleWriter } from '../../bundle/write.ts';
import type { Sha256 } from '../../core/io/digest.ts';
import { OCI_INDEX } from '../../formats/oci/media-types.ts';
import { type Descriptor, encodeIndex } from '../../formats/oci/oci.ts';

/** Writes an architecture's recipe and artifact manifests; returns the latter's index entry. */
export async function addManifest(writer: BundleWriter, recipes: Recipes): Promise<Descriptor> {
  const { config, manifest, descriptor } = encodeArchManifest(recipes);
  await writer.addBytes(config);
  await writer.addBytes(manifest);
  return descriptor;
}

/**
 * Writes the index over all architectures, which is pushed to a registry and covered by a signature, and
 * index.json, which names it after the release. Returns the digest of the former.
 */
export async function addIndex(
  writer: BundleWriter,
  manifests: readonly Descriptor[],
  release: string,
): Promise<Sha256> {
  const inner = await writer.addBytes(
    encodeIndex({ artifactType: BUNDLE_TYPE, manifests: [...manifests] }),
  );
  const entry: Descriptor = {
    ...descriptorOf(OCI_INDEX, inner),
    artifactType: BUNDLE_TYPE,
    annotations: { [ANNOTATION_REF_NAME]: tagOf(release), [ANNOTATION_VERSION]: release },
  };
  await writer.addIndex({ manifests: [entry] });
  return inner.sha256;
}

/** A release as a registry tag: distribution-spec `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. */
function tagOf(release: string): string {
  const tag = release.replace(/[^A-Za-z0-9._-]/g, '-').replace(/^[.-]+/, '');
  return tag.slice(0, 128) || 'latest';
}
