import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Arch } from '../core/arch.ts';
import { FormatError, IoError, UnsupportedError } from '../core/errors.ts';
import { type BlobRef, type Sha256, sha256Of } from '../core/io/digest.ts';
import { isAbsent, osError } from '../core/io/os-error.ts';
import { lookAt } from '../core/io/presence.ts';
import { readWhole } from '../core/io/regular.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../formats/oci/media-types.ts';
import {
  type Descriptor,
  decodeIndex,
  decodeLayout,
  decodeManifest,
  digestHex,
  type OciIndex,
} from '../formats/oci/oci.ts';
import type { StreamArtifact } from '../release/stream/artifacts.ts';
import { decodeStream } from '../release/stream/read.ts';
import type { Stream } from '../release/stream/schema.ts';
import { checkAttested } from './attested.ts';
import { blobPath, readBlob, readJsonBlob, readWholeBlob } from './blobs.ts';
import { MAX_INDEX_BYTES } from './folder.ts';
import { checkManifest } from './manifest.ts';
import { RECIPES_TYPE } from './media-types.ts';
import { decodeRecipes, type Recipes } from './recipes.ts';
import type { Trust } from './trust.ts';

/**
 * A bundle on disk. Opening reads and proves its small JSON documents and nothing else: their digests, and that
 * recipes, manifests and the stream agree.
 */
export interface Bundle {
  readonly path: string;
  /** Where it comes from, if `path` holds only the fetched parts. */
  readonly origin?: string | undefined;
  /** What the user trusts besides it; nothing if undefined. */
  readonly trust?: Trust | undefined;
  /** SHA-256 of the image index over all architectures, which a registry stores and a signature covers. */
  readonly digest: Sha256;
  /** One per architecture, in the order of the index. */
  readonly recipes: readonly Recipes[];
  /** Artifacts of the stream that an architecture's recipes neither make nor list as missing. */
  readonly unlisted: ReadonlyMap<Arch, readonly StreamArtifact[]>;
  /** Path of a blob; its content is not proved. */
  blobPath(ref: BlobRef): string;
  /** Streams a blob; throws IntegrityError at the end if it does not match its digest. */
  readBlob(ref: BlobRef, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The whole of a blob of at most `limit` bytes, proven. */
  readWholeBlob(ref: BlobRef, limit: number, signal?: AbortSignal): Promise<Buffer>;
}

/** True if `path` is a folder that holds an OCI image layout. */
export async function isBundle(path: string): Promise<boolean> {
  return (await lookAt(join(path, 'oci-layout')))?.isFile() === true;
}

/**
 * Opens a bundle. Takes the index that `dehydrate` writes (one image index over the architectures)
 * and the single manifest that registry tools leave after copying one architecture. Throws
 * IoError `NOT_FOUND`, FormatError (`NOT_A_BUNDLE`…) or IntegrityError (`STREAM_DIFFERS`, `MANIFEST_DIFFERS`…).
 */
export async function openBundle(path: string, signal?: AbortSignal): Promise<Bundle> {
  try {
    await stat(path);
  } catch (error) {
    if (!isAbsent(error)) throw osError(error, 'open', path);
    throw new IoError(`there is no bundle at ${path}`, {
      code: 'NOT_FOUND',
      context: { bundle: path },
      hint: 'name a bundle with --bundle or $ISO_REHYDRATE_BUNDLE',
      cause: error,
    });
  }
  if (!(await isBundle(path))) {
    throw new FormatError(`${path} is not a bundle`, {
      code: 'NOT_A_BUNDLE',
      context: { bundle: path },
      hint: 'name a folder made by `iso-rehydrate dehydrate` with --bundle or $ISO_REHYDRATE_BUNDLE',
    });
  }
  const layoutPath = join(path, 'oci-layout');
  decodeLayout(
    await readWhole(layoutPath, { limit: 4096, what: 'oci-layout', signal }),
    layoutPath,
  );
  const indexPath = join(path, 'index.json');
  const limit = MAX_INDEX_BYTES;
  const indexBytes = await readWhole(indexPath, { limit, what: 'index.json', signal });
  const index = decodeIndex(indexBytes, indexPath);
  const recipes: Recipes[] = [];
  const tops = new Set<Sha256>();
  for (const { descriptor, top } of await manifestsOf(path, index, signal)) {
    const found = await readRecipes(path, descriptor, signal);
    if (found === undefined) continue;
    if (recipes.some(({ architecture }) => architecture === found.architecture)) {
      throw new FormatError(`the bundle has ${found.architecture} twice`, {
        code: 'ARCH_TWICE',
        context: { bundle: path },
      });
    }
    recipes.push(found);
    tops.add(top);
  }
  if (recipes.length === 0) {
    throw new FormatError(`${path} is an OCI image layout, but not a bundle of iso-rehydrate`, {
      code: 'NO_RECIPES',
      context: { bundle: path },
      hint: 'check that this is the right folder',
    });
  }
  const unlisted = await checkStreams(path, recipes, signal);
  return {
    path,
    digest: digestOf(tops, indexBytes),
    recipes,
    unlisted,
    blobPath: ({ sha256 }) => blobPath(path, sha256),
    readBlob: (ref, signal) => readBlob(path, ref, signal),
    readWholeBlob: (ref, limit, signal) => readWholeBlob(path, ref, limit, signal),
  };
}

/** The recipes of one architecture. Throws UnsupportedError `ARCH_ABSENT`. */
export function recipesFor(bundle: Pick<Bundle, 'path' | 'recipes'>, arch: Arch): Recipes {
  const recipes = bundle.recipes.find(({ architecture }) => architecture === arch);
  if (recipes === undefined) {
    const there = bundle.recipes.map(({ architecture }) => architecture).join(', ');
    throw new UnsupportedError(`the bundle has no architecture ${arch}`, {
      code: 'ARCH_ABSENT',
      context: { bundle: bundle.path, architectures: there },
      hint: `choose with --arch from: ${there}${bundle.recipes.length > 1 ? ', or all' : ''}`,
    });
  }
  return recipes;
}

/** Compares each architecture's recipes with its stream; architectures mostly share one. */
async function checkStreams(
  path: string,
  all: readonly Recipes[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<Arch, readonly StreamArtifact[]>> {
  const streams = new Map<Sha256, Stream>();
  const unlisted = new Map<Arch, readonly StreamArtifact[]>();
  for (const recipes of all) {
    const { sha256, size } = recipes.stream;
    const stream =
      streams.get(sha256) ??
      decodeStream(await readJsonBlob(path, { sha256, size }, signal), sha256);
    streams.set(sha256, stream);
    unlisted.set(recipes.architecture, checkAttested(recipes, stream));
  }
  return unlisted;
}

/** Of the one thing in index.json that the recipes are below; of index.json itself where there are several. */
function digestOf(tops: Iterable<Sha256>, bytes: Uint8Array): Sha256 {
  const [only, ...more] = tops;
  return only !== undefined && more.length === 0 ? only : sha256Of(bytes);
}

interface Listed {
  readonly descriptor: Descriptor;
  /** Digest of the entry in index.json: the manifest itself, or the index that contains it. */
  readonly top: Sha256;
}

/**
 * index.json may list manifests or, as ours does, an image index over them: one level, no loops. oras lists
 * both, and the signatures of either: a manifest is taken once, and by its index where it is in one.
 */
async function manifestsOf(
  path: string,
  index: OciIndex,
  signal: AbortSignal | undefined,
): Promise<Iterable<Listed>> {
  const manifests = new Map<string, Listed>();
  const add = (descriptor: Descriptor, top: Descriptor) => {
    if (descriptor.mediaType !== OCI_MANIFEST || manifests.has(descriptor.digest)) return;
    manifests.set(descriptor.digest, { descriptor, top: digestHex(top) });
  };
  for (const top of index.manifests) {
    if (top.mediaType !== OCI_INDEX) continue;
    const inner = decodeIndex(await readJsonBlob(path, refOf(top), signal), top.digest);
    for (const descriptor of inner.manifests) add(descriptor, top);
  }
  for (const top of index.manifests) add(top, top);
  return manifests.values();
}

/** Undefined for manifests of other tools (signatures, for example). */
async function readRecipes(
  path: string,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<Recipes | undefined> {
  const manifest = decodeManifest(
    await readJsonBlob(path, refOf(descriptor), signal),
    `manifest ${descriptor.digest}`,
  );
  if (manifest.config.mediaType !== RECIPES_TYPE) return undefined;
  const source = `recipe manifest ${manifest.config.digest}`;
  const recipes = decodeRecipes(await readJsonBlob(path, refOf(manifest.config), signal), source);
  checkManifest(recipes, manifest, descriptor);
  return recipes;
}

function refOf(descriptor: Descriptor): BlobRef {
  return { sha256: digestHex(descriptor), size: descriptor.size };
}
