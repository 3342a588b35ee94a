import { stat } from 'node:fs/promises';
import { isAbsent, osError } from '../../../core/io/os-error.ts';
import type { Registry } from '../../../registry/client.ts';
import { parseReference, type Reference } from '../../../registry/reference.ts';
import { openImageArchive, openLayoutFolder } from './layout.ts';
import { openRegistryImage } from './registry.ts';
import type { ImageStore } from './store.ts';

export interface OpenStoreOptions {
  readonly connect: (reference: Reference) => Promise<Registry>;
  /** A folder for layers on their way. */
  readonly scratch: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens an image that is named as skopeo names it: `docker://`, `oci:`, `oci-archive:` or `docker-archive:`.
 * Undefined for any other name.
 */
export async function openNamedStore(
  name: string,
  { connect, scratch, signal }: OpenStoreOptions,
): Promise<ImageStore | undefined> {
  if (name.startsWith('docker://')) {
    const reference = parseReference(name);
    return openRegistryImage(reference, await connect(reference), scratch);
  }
  const [, transport, rest = ''] =
    /^(oci|oci-archive|docker-archive):(?!\/\/)(.+)$/.exec(name) ?? [];
  if (transport === undefined) return undefined;
  const { path, tag } = await splitTag(rest);
  return transport === 'oci'
    ? openLayoutFolder(path, tag)
    : openImageArchive(path, { tag, signal });
}

/** Whether a name is one of an image, by its transport. */
export const namesImage = (name: string): boolean =>
  /^(docker:\/\/|(oci|oci-archive|docker-archive):(?!\/\/).)/.test(name);

/** `PATH:TAG`, as skopeo has it; a path with a colon is taken as it is if it is there. */
async function splitTag(text: string): Promise<{ path: string; tag: string | undefined }> {
  const colon = text.lastIndexOf(':');
  if (colon <= 0 || (await kindOf(text)) !== undefined) return { path: text, tag: undefined };
  return { path: text.slice(0, colon), tag: text.slice(colon + 1) };
}

/** Undefined if it does not exist. */
export async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw osError(error, 'open', path);
  }
}
