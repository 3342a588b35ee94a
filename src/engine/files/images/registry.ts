import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../../../core/errors.ts';
import type { Registry } from '../../../registry/client.ts';
import { type Reference, referenceText } from '../../../registry/reference.ts';
import { type ImageStore, MAX_DOCUMENT } from './store.ts';

/** An image in a registry. Layers are fetched into `scratch` one by one, each proven, and removed after use. */
export async function openRegistryImage(
  reference: Reference,
  registry: Registry,
  scratch: string,
): Promise<ImageStore> {
  const name = referenceText(reference);
  const { digest, tag = 'latest' } = reference;
  const { bytes } = await registry.manifest(digest ? `sha256:${digest}` : tag);
  return {
    name,
    top: bytes,
    async document({ digest: sha256, size }, kind) {
      if (size > MAX_DOCUMENT) throw tooLarge(name, sha256, size);
      if (kind === 'config') return registry.smallBlob({ sha256, size });
      return (await registry.manifest(`sha256:${sha256}`)).bytes;
    },
    async layer({ digest: sha256, size }) {
      const file = join(scratch, `layer-${sha256}`);
      await registry.fetchBlob({ sha256, size }, file);
      const remove = () => rm(file, { force: true });
      return { file, start: 0, length: size, [Symbol.asyncDispose]: remove };
    },
    stream: ({ digest: sha256, size }) => registry.streamBlob({ sha256, size }),
    [Symbol.asyncDispose]: async () => {},
  };
}

function tooLarge(image: string, digest: string, size: number): FormatError {
  return new FormatError(`a manifest of ${image} is too large: ${size} bytes`, {
    code: 'TOO_LARGE',
    context: { image, digest, size, limit: MAX_DOCUMENT },
  });
}
