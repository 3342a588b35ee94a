import { MAX_JSON_BYTES } from '../../bundle/blobs.ts';
import { RECIPES_TYPE } from '../../bundle/media-types.ts';
import { decodeRecipes, type Recipes } from '../../bundle/recipes.ts';
import { FormatError } from '../../core/errors.ts';
import type { BlobRef, Sha256 } from '../../core/io/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../formats/oci/media-types.ts';
import { type Descriptor, decodeIndex, decodeManifest, digestHex } from '../../formats/oci/oci.ts';
import type { Registry } from '../../registry/client.ts';

/** The JSON documents of a bundle: enough to open it. */
export interface Documents {
  readonly digest: Sha256;
  readonly mediaType: typeof OCI_INDEX | typeof OCI_MANIFEST;
  /** Index, manifests, recipes and streams, by digest; each was hashed. */
  readonly blobs: ReadonlyMap<Sha256, Buffer>;
  readonly layers: readonly Descriptor[];
  readonly recipes: readonly Recipes[];
}

/** Limit for all documents of a bundle together, in bytes. */
const MAX_DOCUMENTS = 64 << 20;

/**
 * Fetches the documents of a bundle into memory, so that nothing is written to disk if it is not a bundle.
 * Throws FormatError `NO_RECIPES` or `TOO_LARGE`, and what the registry and the decoders throw.
 */
export async function fetchDocuments(
  registry: Pick<Registry, 'manifest' | 'smallBlob'>,
  reference: string,
): Promise<Documents> {
  const { bytes: top, sha256: digest } = await registry.manifest(reference);
  const source = `manifest sha256:${digest}`;
  const blobs = new Map<Sha256, Buffer>();
  const layers: Descriptor[] = [];
  const found: Recipes[] = [];
  let total = 0;
  const keep = (sha256: Sha256, bytes: Buffer) => {
    blobs.set(sha256, bytes);
    total += bytes.length;
    if (total > MAX_DOCUMENTS) throw tooLarge(`the documents of ${reference}`, MAX_DOCUMENTS);
  };
  const fetchJson = async ({ sha256, size }: BlobRef) => {
    const known = blobs.get(sha256);
    if (known) return known;
    if (size > MAX_JSON_BYTES) throw tooLarge(`blob ${sha256}`, MAX_JSON_BYTES);
    const bytes = await registry.smallBlob({ sha256, size });
    keep(sha256, bytes);
    return bytes;
  };
  const take = async (bytes: Buffer) => {
    const { config, layers: own } = decodeManifest(bytes, source);
    if (config.mediaType !== RECIPES_TYPE) return;
    const blob = { sha256: digestHex(config), size: config.size };
    const recipes: Recipes = decodeRecipes(await fetchJson(blob), `recipes ${config.digest}`);
    await fetchJson(recipes.stream);
    layers.push(...own);
    found.push(recipes);
  };
  keep(digest, top);
  const isIndex = /"mediaType"\s*:\s*"application\/vnd\.oci\.image\.index/.test(top.toString());
  if (!isIndex) await take(top);
  for (const descriptor of isIndex ? decodeIndex(top, source).manifests : []) {
    if (descriptor.mediaType !== OCI_MANIFEST) continue;
    const { bytes, sha256 } = await registry.manifest(descriptor.digest);
    keep(sha256, bytes);
    await take(bytes);
  }
  if (layers.length === 0) {
    throw new FormatError(`${reference} is not a bundle of iso-rehydrate`, {
      code: 'NO_RECIPES',
      context: { digest: `sha256:${digest}` },
      hint: 'check the reference',
    });
  }
  return { digest, mediaType: isIndex ? OCI_INDEX : OCI_MANIFEST, blobs, layers, recipes: found };
}

function tooLarge(what: string, limit: number): FormatError {
  return new FormatError(
    `${what} are more than ${limit} bytes`.replace(/^(blob \S+) are/, '$1 is'),
    {
      code: 'TOO_LARGE',
      context: { limit },
      hint: 'check the reference',
    },
  );
}
