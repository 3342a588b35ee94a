import { type BigIntStats, constants } from 'node:fs';
import { access, type FileHandle, lstat, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bundle } from '../../bundle/read.ts';
import type { Recipes } from '../../bundle/recipes.ts';
import { inlinePool } from '../../codec/workers/pool.ts';
import { IoError, RehydrateError, throwIfAborted } from '../../core/errors.ts';
import { tidyFolder } from '../../core/io/atomic.ts';
import { createHasher, type Sha256 } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { errnoOf, isAbsent, osError } from '../../core/io/os-error.ts';
import type { Progress } from '../../core/progress/progress.ts';
import { byLastUse } from '../../engine/cache/housekeeping.ts';
import type { MetalCache } from '../../engine/cache/metal-cache.ts';
import type { MetalEngine } from '../../engine/engine.ts';
import type { Containers } from '../../engine/files/sources/open-container.ts';
import type { Keys } from '../../release/download/signature.ts';
import { idText } from '../../release/stream/artifacts.ts';
import { checkMade } from '../make/write-made.ts';
import { failureOf } from '../rehydrate/failure.ts';
import { rehydrate } from '../rehydrate/rehydrate.ts';
import type { ServedFile } from './catalogue.ts';

export interface ImageStoreOptions {
  readonly bundle: Bundle;
  readonly engine: MetalEngine;
  readonly cache: MetalCache;
  /** Folder of the images, which are named by their SHA-256. */
  readonly folder: string;
  /** Maximum bytes on disk for all images together. */
  readonly maxBytes: number;
  /** Bytes to keep free on that file system. */
  readonly reserve: number;
  readonly isoPaths?: readonly string[] | undefined;
  /** Sources of the base `files`, instead of the ISO. */
  readonly containers?: Containers | undefined;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Check the signatures of the release. */
  readonly keyring?: Keys | undefined;
  /** Called for each file that was made or could not be made. */
  readonly onMade?: ((outcome: 'made' | 'failed', seconds: number) => void) | undefined;
}

/** Images on disk, made on first request. */
export interface ImageStore {
  /**
   * The proved image, open; the caller closes it. However many ask for it at a time, it is made once. One that was
   * kept is hashed when this process first uses it, and again when it looks as if it was changed.
   */
  open(file: ServedFile): Promise<OpenImage>;
  /** How a request would be answered now. */
  stateOf(file: ServedFile): Promise<ImageState>;
  /** Resolves when nothing is being made any more. */
  idle(): Promise<void>;
}

/** `kept` files are sent at once, others once they are made. */
export type ImageState = 'kept' | 'making' | 'not made';

export interface OpenImage {
  readonly handle: FileHandle;
  readonly path: string;
}

/**
 * Throws IoError if the folder cannot be used. `open` throws IoError `DISK_FULL` while there is no room, and
 * what {@link rehydrate} throws; the next request tries again.
 */
export async function openImageStore(options: ImageStoreOptions): Promise<ImageStore> {
  const { bundle, folder, keyring, signal, progress } = options;
  await makeFolder(folder);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw osError(error, 'write to', folder);
  }
  await tidyFolder(folder);
  const making = new Map<string, Promise<void>>();
  // The state of each image's file when its bytes were proved.
  const proved = new Map<string, string>();
  // One boot at a time: images of one architecture share its disk, and disks are the slow part.
  let queue: Promise<unknown> = Promise.resolve();

  /** Undefined if there is no such image, or only a wrong one. */
  async function find(
    { file }: ServedFile,
    { isNew = false }: { readonly isNew?: boolean } = {},
  ): Promise<OpenImage | undefined> {
    const { sha256, size } = file;
    const path = join(folder, sha256);
    const handle = await openOwn(path);
    if (handle === undefined) return undefined;
    try {
      const before = await handle.stat({ bigint: true });
      if (Number(before.size) !== size) return await drop(handle, path);
      if (proved.get(sha256) !== looksOf(before) && !isNew) {
        if ((await hashOf(handle, size, signal)) !== sha256) {
          const message = `the kept image ${sha256} was damaged and is made again`;
          progress({ type: 'note', subject: file.name, message });
          return await drop(handle, path);
        }
        // It may have been made without the keyring.
        if (keyring) await checkMade(path, { bundle, pool: inlinePool(), file, keyring, signal });
      }
      await handle.utimes(new Date(), new Date(Number(before.mtimeMs))).catch(() => {}); // for `makeRoom`
      const after = await handle.stat({ bigint: true });
      // Setting the times changes ctime; a change of the bytes in the meantime would have changed mtime.
      if (Number(after.mtimeMs) === Number(before.mtimeMs)) proved.set(sha256, looksOf(after));
      return { handle, path };
    } catch (error) {
      await handle.close();
      throw osError(error, 'read', path);
    }
  }

  async function drop(handle: FileHandle, path: string): Promise<undefined> {
    await handle.close();
    await rm(path, { recursive: true, force: true });
    return undefined;
  }

  /** Those that are kept need not wait for others that are being made. */
  async function ensure(file: ServedFile): Promise<void> {
    const found = await find(file);
    if (found) return found.handle.close();
    const job = queue.then(() => timed(() => makeImage(file, options)));
    queue = job.catch(() => {});
    await job;
    const made = await find(file, { isNew: true });
    await made?.handle.close();
  }

  async function timed(make: () => Promise<void>): Promise<void> {
    const started = performance.now();
    const told = (outcome: 'made' | 'failed') =>
      options.onMade?.(outcome, (performance.now() - started) / 1000);
    try {
      await make();
    } catch (error) {
      told('failed');
      throw error;
    }
    told('made');
  }

  return {
    async open(file) {
      const key = file.file.sha256;
      for (let tries = 0; ; tries++) {
        const under = making.get(key);
        if (under) await under;
        else if (tries > 0 || !(await isProved(file))) {
          const job = making.get(key) ?? ensure(file);
          making.set(key, job);
          await job.finally(() => making.delete(key));
        }
        const found = await find(file);
        if (found) return found;
        if (tries >= MAX_TRIES) throw vanished(join(folder, key));
      }
    },
    async stateOf({ file: { sha256, size } }) {
      if (making.has(sha256)) return 'making';
      return Number((await look(sha256))?.size) === size ? 'kept' : 'not made';
    },
    async idle() {
      await Promise.allSettled([...making.values()]);
      if (!signal.aborted) await queue;
    },
  };

  async function isProved({ file }: ServedFile): Promise<boolean> {
    const found = await look(file.sha256);
    return found !== undefined && proved.get(file.sha256) === looksOf(found);
  }

  function look(sha256: Sha256) {
    return lstat(join(folder, sha256), { bigint: true }).catch(() => undefined);
  }
}

/** A file is not made in the time that a request waits for it. */
export class StillMaking extends Error {}

/** An image that is removed as soon as it is made. */
const MAX_TRIES = 3;

function vanished(path: string): IoError {
  return new IoError(`the image ${path} does not stay`, {
    code: 'NOT_FOUND',
    context: { path },
    hint: 'let no other program change the folder that --images names',
  });
}

/** Any change of a file's bytes changes its ctime, even if its mtime is reset. */
const looksOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats) =>
  [dev, ino, size, mtimeNs, ctimeNs].join(' ');

/** A link or a device in the store does not count as an image. */
async function openOwn(path: string): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  try {
    const handle = await open(path, flags);
    let isFile = false;
    try {
      isFile = (await handle.stat()).isFile();
      if (isFile) return handle;
    } finally {
      if (!isFile) await handle.close();
    }
  } catch (error) {
    if (isAbsent(error)) return undefined;
    if (errnoOf(error) !== 'ELOOP') throw osError(error, 'open', path);
  }
  await rm(path, { recursive: true, force: true });
  return undefined;
}

const CHUNK = 1 << 20;

async function hashOf(handle: FileHandle, size: number, signal: AbortSignal): Promise<Sha256> {
  const hasher = createHasher();
  const buffer = Buffer.allocUnsafe(CHUNK);
  while (hasher.bytes < size) {
    throwIfAborted(signal);
    const { bytesRead } = await handle.read(buffer, 0, CHUNK, hasher.bytes);
    if (bytesRead === 0) break;
    hasher.update(buffer.subarray(0, bytesRead));
  }
  return hasher.digest();
}

async function makeImage(served: ServedFile, options: ImageStoreOptions): Promise<void> {
  const { bundle, engine, cache, folder, isoPaths, containers, keyring, signal, progress } =
    options;
  const { architecture, recipes, file } = served;
  throwIfAborted(signal);
  await makeRoom(spaceFor(file, recipes), options);
  const path = join(folder, file.sha256);
  const report = await rehydrate({
    bundle,
    arches: [architecture],
    selection: { platforms: [idText(file.artifact)] },
    released: file.compressed,
    keyring,
    output: { kind: 'file', path },
    force: true,
    engine,
    cache,
    isoPaths,
    containers,
    signal,
    progress,
  });
  const failure = failureOf(report);
  if (failure !== undefined) throw failure;
}

/**
 * The most that an image can take on disk: a raw disk of many gigabytes is mostly holes, and its data is in
 * the ISO, compressed.
 */
export function spaceFor(
  { artifact: { recipe }, compressed, size }: ServedFile['file'],
  { iso }: Recipes,
): number {
  const isDisk = !compressed && (recipe.kind === 'base' || recipe.kind === 'delta');
  return isDisk ? Math.min(size, UNPACKED * iso.size) : size;
}

const UNPACKED = 4;

/** Removes the least recently requested images until there is room. Throws IoError `DISK_FULL`. */
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

/** Whether trying again later may help: there is no room on the disk, or too many files are open. */
export function isPassing(error: unknown): boolean {
  return (
    error instanceof RehydrateError &&
    (error.code === 'DISK_FULL' || error.code === 'TOO_MANY_FILES')
  );
}
