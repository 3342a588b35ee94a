import { join } from 'node:path';
import type { Arch } from '../../../core/arch.ts';
import { UsageError } from '../../../core/errors.ts';
import type { Registry } from '../../../registry/client.ts';
import { parseReference, type Reference } from '../../../registry/reference.ts';
import { openImageArchive, openLayoutFolder } from '../images/layout.ts';
import { kindOf, openNamedStore } from '../images/open-store.ts';
import { openRegistryImage } from '../images/registry.ts';
import { openFolderSource } from './folder.ts';
import { openImageSource } from './image.ts';
import type { ContentSource } from './source.ts';

/** Container images, folders and repositories that a user names as sources. */
export interface Containers {
  /**
   * Paths or references: an OCI image layout, an archive of an image, an OSTree repository or another folder, an
   * image in a registry. skopeo's `oci:`, `oci-archive:`, `docker-archive:` and `docker://` are understood.
   */
  readonly names: readonly string[];
  /** Asked for images in registries. */
  readonly connect: (reference: Reference) => Promise<Registry>;
}

export interface OpenContainerOptions extends Pick<Containers, 'connect'> {
  readonly arch: Arch;
  /** A folder for layers on their way. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/** Throws UsageError `CONTAINER` for a name that neither exists nor is a reference, and the errors of the readers. */
export async function openContainer(
  name: string,
  options: OpenContainerOptions,
): Promise<ContentSource> {
  const { arch, signal } = options;
  const dir = /^dir:(?!\/\/)(.+)$/.exec(name)?.[1];
  if (dir !== undefined) return openFolderSource(dir);
  const store = await openNamedStore(name, options);
  if (store) return openImageSource(store, arch);
  const kind = await kindOf(name);
  switch (kind) {
    case 'folder':
      return (await kindOf(join(name, 'oci-layout'))) === 'file'
        ? openImageSource(await openLayoutFolder(name), arch)
        : openFolderSource(name);
    case 'file':
      return openImageSource(await openImageArchive(name, { signal }), arch);
    case undefined:
      return fromRegistry(name, options);
  }
}

async function fromRegistry(
  name: string,
  { connect, arch, scratch }: OpenContainerOptions,
): Promise<ContentSource> {
  const reference = parsed(name);
  const registry = await connect(reference);
  return openImageSource(await openRegistryImage(reference, registry, scratch), arch);
}

function parsed(name: string): Reference {
  try {
    return parseReference(name);
  } catch (error) {
    throw new UsageError(`${name} is neither a file or folder nor a registry reference`, {
      code: 'CONTAINER',
      context: { container: name },
      hint: 'name a path, or an image such as quay.io/fedora/fedora-coreos:stable',
      cause: error,
    });
  }
}
