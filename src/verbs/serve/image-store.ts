import { mkdir, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bundle } from '../../bundle/read.ts';
import type { RecipeArtifact, Recipes } from '../../bundle/recipes.ts';
import { IoError, RehydrateError, throwIfAborted } from '../../core/errors.ts';
import { osError } from '../../core/io/os-error.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { byLastUse } from '../../engine/cache/housekeeping.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { MetalEngine } from '../../engine/engine.ts';
import { idText } from '../../release/stream/artifacts.ts';
import { failureOf } from '../rehydrate/failure.ts';
import { rehydrate } from '../rehydrate/rehydrate.ts';
import type { ServedFile } from './catalogue.ts';

export interface ImageStoreOptions {
  readonly bundle: Bundle;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** Where images are kept, by their SHA-256. */
  readonly folder: string;
  /** Bytes on disk that they may take together. */
  readonly maxBytes: number;
  /** Bytes that have to stay free on that file system. */
  readonly reserve: number;
  readonly isoPaths?: readonly string[] | undefined;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/** Images on disk, made when first asked for. */
export interface ImageStore {
  /** Path of the proved image. However many ask for it at a time, it is made once. */
  get(file: ServedFile): Promise<string>;
  /** Resolves when nothing is being made any more. */
  idle(): Promise<void>;
}

/**
 * Throws IoError if the folder cannot be used. `get` throws IoError `DISK_FULL` while there is no room, and
 * what {@link rehydrate} throws; the next request tries again.
 */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const { folder, signal } = options;
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw osError(error, 'create', folder);
  }
  const making = new Map<string, Promise<string>>();
  // One boot at a time: images of one architecture share its disk, and disks are the slow part.
  let queue: Promise<unknown> = Promise.resolve();

  async function find({ artifact }: ServedFile): Promise<string | undefined> {
    const path = join(folder, artifact.sha256);
    const found = await stat(path).catch(() => undefined);
    if (!found?.isFile() || found.size !== artifact.size) return undefined;
    await utimes(path, new Date(), found.mtime).catch(() => {}); // for `makeRoom`
    return path;
  }

  return {
    async get(file) {
      const found = await find(file);
      if (found !== undefined) return found;
      const key = file.artifact.sha256;
      const under = making.get(key);
      if (under) return under;
      const job = queue.then(async () => (await find(file)) ?? makeImage(file, options));
      queue = job.catch(() => {});
      making.set(key, job);
      try {
        return await job;
      } finally {
        making.delete(key);
      }
    },
    async idle() {
      await Promise.allSettled([...making.values()]);
      if (!signal.aborted) await queue;
    },
  };
}

async function makeImage(file: ServedFile, options: ImageStoreOptions): Promise<string> {
  const { bundle, engine, cache, folder, isoPaths, signal, progress } = options;
  const { architecture, recipes, artifact } = file;
  throwIfAborted(signal);
  await makeRoom(spaceFor(artifact, recipes), options);
  const path = join(folder, artifact.sha256);
  const report = await rehydrate({
    bundle,
    arches: [architecture],
    selection: { platforms: [idText(artifact)] },
    output: { kind: 'file', path },
    force: true,
    engine,
    cache,
    isoPaths,
    signal,
    progress,
  });
  const failure = failureOf(report);
  if (failure !== undefined) throw failure;
  return path;
}

/**
 * What an image takes on disk, at most: a raw disk of many gigabytes is mostly holes, and what it holds is
 * in the ISO, compressed.
 */
export function spaceFor({ recipe, size }: RecipeArtifact, { iso }: Recipes): number {
  const isDisk = recipe.kind === 'base' || recipe.kind === 'delta';
  return isDisk ? Math.min(size, UNPACKED * iso.size) : size;
}

const UNPACKED = 4;

/** Drops the images that were not asked for longest until there is room. Throws IoError `DISK_FULL`. */
async function makeRoom(
  wanted: number,
  { folder, maxBytes, reserve }: ImageStoreOptions,
): Promise<void> {
  const images = await byLastUse(folder, /^[0-9a-f]{64}$/);
  let kept = images.reduce((sum, { bytes }) => sum + bytes, 0);
  for (;;) {
    const { bavail, bsize } = await statfs(folder);
    const free = bavail * bsize;
    if (free >= wanted + reserve && kept + wanted <= maxBytes) return;
    const oldest = images.shift();
    if (oldest === undefined) {
      if (free >= wanted + reserve) return; // a single image may be larger than the limit
      throw new IoError('there is no room for the image', {
        code: 'DISK_FULL',
        context: { folder, wanted, free, reserve },
        hint: 'free some space, or choose another --images folder',
      });
    }
    await rm(oldest.path, { force: true }); // readers have it open
    kept -= oldest.bytes;
  }
}

/** Whether trying again later may help. */
export function isShortOfDisk(error: unknown): boolean {
  return error instanceof RehydrateError && error.code === 'DISK_FULL';
}
