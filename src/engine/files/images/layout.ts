import { lstat } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { FormatError, IntegrityError, UnsupportedError } from '../../../core/errors.ts';
import { sha256Of } from '../../../core/io/digest.ts';
import { osError } from '../../../core/io/os-error.ts';
import { openSource, type Source } from '../../../core/io/source.ts';
import { decodeDockerArchive, type ImageDescriptor } from '../../../formats/oci/image.ts';
import { decodeIndex, decodeLayout } from '../../../formats/oci/oci.ts';
import type { TarMember } from '../../../formats/tar/decoder.ts';
import { tarMembers } from '../../../formats/tar/index.ts';
import { type ImageStore, type LayerFile, MAX_DOCUMENT } from './store.ts';

const REF_NAME = 'org.opencontainers.image.ref.name';
/** A thousand layers, and a few documents per layer. */
const MEMBERS = { members: 20_000, bytes: 2 ** 40 };

/** Finds the files of a layout by their paths: in a folder, or in an archive. */
interface Files {
  readonly name: string;
  /** Undefined if there is none. */
  find(path: string): Promise<{ file: string; start: number; length: number } | undefined>;
}

/** An OCI image layout in a folder; `tag` picks one of several images. */
export async function openLayoutFolder(path: string, tag?: string): Promise<ImageStore> {
  return layoutStore(
    {
      name: path,
      async find(name) {
        const file = join(path, name);
        const found = await lstat(file).catch((error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return undefined;
          throw osError(error, 'open', file);
        });
        return found?.isFile() ? { file, start: 0, length: found.size } : undefined;
      },
    },
    tag,
  );
}

/** An archive of `podman save`, `docker save` or skopeo: an OCI image layout in a tar, or Docker's own. */
export async function openImageArchive(
  path: string,
  options: { readonly tag?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<ImageStore> {
  await using source = await openSource(path);
  await refuseCompressed(source);
  const members = new Map<string, TarMember>();
  for await (const member of tarMembers(source, MEMBERS, options.signal)) {
    if (member.kind === 'file' || member.symlink !== undefined) members.set(member.path, member);
  }
  const files: Files = {
    name: path,
    async find(name) {
      const member = followed(members, name);
      return member && { file: path, start: member.offset, length: member.size };
    },
  };
  if (members.has('oci-layout')) return layoutStore(files, options.tag);
  if (members.has('manifest.json')) return dockerStore(files);
  throw new UnsupportedError(`${path} is not an archive of a container image`, {
    code: 'IMAGE_ARCHIVE',
    context: { file: path },
    hint: 'write one with `skopeo copy … oci-archive:FILE`, or `podman save --format oci-archive`',
  });
}

/** `docker save` writes a layer that occurs twice as a symbolic link to the first one. */
function followed(members: ReadonlyMap<string, TarMember>, name: string): TarMember | undefined {
  const member = members.get(name);
  if (member?.symlink === undefined) return member;
  const target = members.get(posix.join(posix.dirname(member.path), member.symlink));
  return target?.kind === 'file' ? target : undefined;
}

async function refuseCompressed(source: Source): Promise<void> {
  const head = Buffer.alloc(Math.min(4, source.size));
  await source.read(head, 0);
  const compressed = [0x8b1f, 0xb528, 0x37fd].includes(head.length >= 2 ? head.readUInt16LE(0) : 0);
  if (!compressed) return;
  throw new UnsupportedError(`${source.name} is compressed as a whole`, {
    code: 'IMAGE_ARCHIVE',
    context: { file: source.name },
    hint: 'unpack it first, with gunzip, unzstd or unxz',
  });
}

async function layoutStore(files: Files, tag: string | undefined): Promise<ImageStore> {
  const source = `${files.name}/index.json`;
  decodeLayout(await small(files, 'oci-layout', 4096), `${files.name}/oci-layout`);
  let top = await small(files, 'index.json', MAX_DOCUMENT);
  if (tag !== undefined) {
    const index = decodeIndex(top, source);
    const tagged = index.manifests.filter(({ annotations }) => annotations?.[REF_NAME] === tag);
    if (tagged.length === 0) {
      throw new UnsupportedError(`${files.name} has no image with the tag ${tag}`, {
        code: 'IMAGE_TAG',
        context: { image: files.name, tag },
        hint: 'list its tags with `skopeo list-tags` or omit the tag',
      });
    }
    top = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: tagged }));
  }
  const pathOf = ({ digest }: ImageDescriptor) => `blobs/sha256/${digest}`;
  return {
    name: files.name,
    top,
    async document(ref) {
      const bytes = await small(files, pathOf(ref), MAX_DOCUMENT);
      const found = sha256Of(bytes);
      if (found === ref.digest) return bytes;
      throw new IntegrityError(`blob ${ref.digest} of ${files.name} is damaged`, {
        code: 'BLOB_DIGEST',
        context: { image: files.name, expected: ref.digest, found },
        hint: 'copy or pull the container image again',
      });
    },
    async layer(ref) {
      const found = await files.find(pathOf(ref));
      if (found?.length === ref.size) return borrowed(found);
      throw absent(files, pathOf(ref));
    },
    stream: (ref) => streamed(files, pathOf(ref)),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Docker's own form: a list of images, each with the names of its config and its layers. */
async function dockerStore(files: Files): Promise<ImageStore> {
  const list = await small(files, 'manifest.json', MAX_DOCUMENT);
  const images = decodeDockerArchive(list, `${files.name}/manifest.json`);
  // Presented like an OCI index, with digests in place of the names.
  const names = new Map<string, string>();
  const refTo = async (name: string): Promise<ImageDescriptor> => {
    const found = await files.find(name);
    if (found === undefined) throw absent(files, name);
    const digest = sha256Of(Buffer.from(name));
    names.set(digest, name);
    return { digest, size: found.length };
  };
  const documents = new Map<string, Buffer>();
  const manifests: ImageDescriptor[] = [];
  for (const { Config, Layers } of images) {
    const layers: ImageDescriptor[] = [];
    for (const layer of Layers) layers.push(await refTo(layer));
    const config = await refTo(Config);
    const described = { schemaVersion: 2, config: encoded(config), layers: layers.map(encoded) };
    const manifest = Buffer.from(JSON.stringify(described));
    const digest = sha256Of(manifest);
    documents.set(digest, manifest);
    manifests.push({ digest, size: manifest.length });
  }
  const nameOf = ({ digest }: ImageDescriptor) => names.get(digest) ?? digest;
  return {
    name: files.name,
    top: Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: manifests.map(encoded) })),
    document: async (ref) =>
      documents.get(ref.digest) ?? (await small(files, nameOf(ref), MAX_DOCUMENT)),
    async layer(ref) {
      const found = await files.find(nameOf(ref));
      if (found === undefined) throw absent(files, nameOf(ref));
      return borrowed(found);
    },
    stream: (ref) => streamed(files, nameOf(ref)),
    [Symbol.asyncDispose]: async () => {},
  };
}

const encoded = ({ digest, size }: ImageDescriptor) => ({ digest: `sha256:${digest}`, size });

const borrowed = (part: Omit<LayerFile, keyof AsyncDisposable>): LayerFile => ({
  ...part,
  [Symbol.asyncDispose]: async () => {},
});

const READ = 1 << 20;

async function* streamed(files: Files, path: string): AsyncGenerator<Uint8Array> {
  const found = await files.find(path);
  if (found === undefined) throw absent(files, path);
  await using source = await openSource(found.file);
  for (let done = 0; done < found.length; ) {
    const bytes = Buffer.allocUnsafe(Math.min(READ, found.length - done));
    await source.read(bytes, found.start + done);
    done += bytes.length;
    yield bytes;
  }
}

async function small(files: Files, path: string, limit: number): Promise<Buffer> {
  const found = await files.find(path);
  if (found === undefined) throw absent(files, path);
  const { file, start, length } = found;
  if (length > limit) {
    throw new FormatError(`${path} of ${files.name} is too large: ${length} bytes`, {
      code: 'TOO_LARGE',
      context: { image: files.name, path, size: length, limit },
    });
  }
  await using source = await openSource(file);
  const bytes = Buffer.alloc(length);
  await source.read(bytes, start);
  return bytes;
}

function absent(files: Files, path: string): IntegrityError {
  return new IntegrityError(`${files.name} lacks ${path}, or it is cut off`, {
    code: 'BLOB_MISSING',
    context: { image: files.name, path },
    hint: 'copy or pull the container image again',
  });
}
