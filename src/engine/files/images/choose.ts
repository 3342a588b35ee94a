import { type Arch, OCI_ARCHITECTURE } from '../../../core/arch.ts';
import { FormatError, UnsupportedError } from '../../../core/errors.ts';
import {
  decodeImageConfig,
  decodeImageDocument,
  type ImageManifest,
} from '../../../formats/oci/image.ts';
import type { ImageStore } from './store.ts';

/** Nesting depth of indexes: oras and our own bundles nest them once; one more is allowed. */
const MAX_DEPTH = 3;
const MAX_DOCUMENTS = 100;

/** An image, and the architecture that its config names, in Go's spelling. */
export interface ListedImage {
  readonly architecture: string;
  readonly manifest: ImageManifest;
}

/**
 * The image of an architecture. Undefined if there is none. Throws FormatError for malformed documents,
 * UnsupportedError `IMAGE_AMBIGUOUS` if there are several.
 */
export async function chooseImage(
  store: ImageStore,
  arch: Arch,
): Promise<ImageManifest | undefined> {
  const wanted = OCI_ARCHITECTURE[arch];
  const found = await listImages(store, (architecture) => architecture === wanted);
  if (found.length > 1) {
    throw new UnsupportedError(`${store.name} has several images for ${arch}`, {
      code: 'IMAGE_AMBIGUOUS',
      context: { image: store.name, images: found.length },
      hint: 'name one by its tag (oci:FOLDER:TAG) or copy it with skopeo',
    });
  }
  return found[0]?.manifest;
}

/** The images of the architectures that `accept` takes, each once. Throws FormatError for malformed documents. */
export async function listImages(
  store: ImageStore,
  accept: (architecture: string) => boolean,
): Promise<readonly ListedImage[]> {
  const found = new Map<string, ListedImage>();
  let documents = 0;

  async function look(bytes: Uint8Array, source: string, depth: number): Promise<void> {
    if (++documents > MAX_DOCUMENTS || depth > MAX_DEPTH) {
      throw new FormatError(`${store.name} has more indexes than an image has`, {
        code: 'IMAGE_INDEX',
        context: { image: store.name },
      });
    }
    const document = decodeImageDocument(bytes, source);
    if (document.kind === 'manifest') {
      const { config, layers } = document;
      const about = `config ${config.digest}`;
      const architecture = decodeImageConfig(await store.document(config, 'config'), about);
      if (!accept(architecture)) return;
      found.set(config.digest, { architecture, manifest: { schemaVersion: 2, config, layers } });
      return;
    }
    for (const entry of document.manifests) {
      // Attestations have an architecture that does not exist.
      if (entry.platform && !accept(entry.platform.architecture)) continue;
      await look(await store.document(entry, 'manifest'), `manifest ${entry.digest}`, depth + 1);
    }
  }

  await look(store.top, store.name, 0);
  return [...found.values()];
}
