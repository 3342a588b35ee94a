import { chmod, type FileHandle, open, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { IntegrityError, IoError } from '../../core/errors.ts';
import { syncFolder, tidyFolder } from '../../core/io/atomic.ts';
import { copyBuffers, copyRange } from '../../core/io/copy.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { hashingHere, type Sha256 } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { isAbsent, osError } from '../../core/io/os-error.ts';
import { makeScratch, reclaimScratch, type Scratch, scratchBytes } from '../../core/io/scratch.ts';
import { hashingSink } from '../../core/io/sink.ts';
import { openSource, type Source } from '../../core/io/source.ts';
import { holeDigger } from './dig-holes.ts';
import { trim } from './housekeeping.ts';

/**
 * Regenerated metal disks, by content: `<dir>/metal/<sha256>.raw`.
 *
 * - Nothing enters unproven: `admit` hashes the disk once and renames it into place.
 * - A sealed disk is read-only and has a fixed modification time. Any later write changes that time, so a
 *   modified or half-copied disk is detected by a stat. Corruption that leaves the time alone is detected
 *   by the hash of every output; `evict` then drops the disk.
 * - No locks: users hold an open file, which outlives unlinking, and all changes are renames. Two processes
 *   that miss the same disk both make it; the later rename wins, with equal bytes.
 * - Least recently used disks go first once the disks take more than `maxBytes` on disk.
 */
export interface MetalCache extends AsyncDisposable {
  readonly dir: string;
  /** Limit for the contents of the folder, in allocated bytes. */
  readonly maxBytes: number;
  /** The one folder for work in progress on the cache's file system; removed on dispose. */
  scratch(): Promise<string>;
  /** The sealed disk, open, or undefined. */
  lookup(base: BlobRef): Promise<Source | undefined>;
  /**
   * Proves a freshly written disk with one read (unless its `digest` is known from one), punches holes on
   * the way, moves the file into the cache and opens it. Throws IntegrityError `BASE_DIGEST` or
   * `BASE_SIZE`.
   */
  admit(path: string, base: BlobRef, options?: AdmitOptions): Promise<Source>;
  evict(sha256: Sha256): Promise<void>;
}

export interface AdmitOptions {
  /** SHA-256 of the file if this process has already read it back, which saves the read. */
  readonly digest?: Sha256 | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number) => void) | undefined;
}

export interface MetalCacheOptions {
  readonly dir: string;
  /** Limit for the allocated bytes on disk of all cached disks. */
  readonly maxBytes: number;
}

/** An arbitrary time that marks sealed disks: 2000-01-01T00:00:00Z. */
const SEAL = new Date(Date.UTC(2000, 0, 1));

/** Opens a cache folder, which is made when it is first written to. Throws IoError if it cannot be used. */
export async function openMetalCache({ dir, maxBytes }: MetalCacheOptions): Promise<MetalCache> {
  const disks = join(dir, 'metal');
  const pathOf = (sha256: Sha256) => join(disks, `${sha256}.raw`);
  const scratchPrefix = join(dir, 'work-');
  let made: Promise<Scratch> | undefined;
  // A run that makes no disk does not make the folder.
  const isNew = await stat(dir).then(() => false, isAbsent);
  try {
    if (!isNew) await makeFolder(disks);
    await reclaimScratch(scratchPrefix);
    await tidyFolder(join(dir, 'runs')); // where a run writes only if it unpacks an ISO
  } catch (error) {
    throw cacheError(error, 'use the cache folder', dir);
  }

  const evict = async (sha256: Sha256) => rm(pathOf(sha256), { force: true });

  return {
    dir,
    maxBytes,
    evict,
    async scratch() {
      try {
        // Before any await, because calls may overlap.
        made ??= makeFolder(disks).then(() => makeScratch(scratchPrefix));
        return (await made).path;
      } catch (error) {
        throw cacheError(error, 'write to the cache folder', dir);
      }
    },
    async lookup({ sha256, size }) {
      const path = pathOf(sha256);
      const found = await stat(path).catch(() => undefined);
      if (found === undefined) return undefined;
      if (!found.isFile() || found.size !== size || found.mtimeMs !== SEAL.getTime()) {
        await evict(sha256);
        return undefined;
      }
      // Another process may evict between stat and open: a miss like any other.
      const source = await openSource(path).catch(() => undefined);
      if (source) await utimes(path, new Date(), SEAL).catch(() => {}); // a read-only cache is still usable
      return source;
    },
    async admit(path, base, options) {
      await prove(path, base, options).catch((error: unknown) => {
        throw osError(error, 'read back', path);
      });
      const final = pathOf(base.sha256);
      try {
        await chmod(path, 0o444);
        await utimes(path, new Date(), SEAL);
        await rename(path, final);
        await syncFolder(disks);
      } catch (error) {
        throw cacheError(error, 'store in the cache', final);
      }
      const source = await openSource(final); // before it may go for want of room
      try {
        // Unfinished files, of this process or others, take room too.
        const room = Math.max(0, maxBytes - (await scratchBytes(scratchPrefix)));
        await trim(dir, room, final);
        return source;
      } catch (error) {
        await source.close();
        throw cacheError(error, 'make room in the cache', disks);
      }
    },
    async [Symbol.asyncDispose]() {
      const scratch = await made?.catch(() => undefined);
      await scratch?.[Symbol.asyncDispose]();
    },
  };
}

/** Like {@link osError}, with the hint to use another folder, which helps in any case. */
function cacheError(error: unknown, doing: string, path: string): unknown {
  const cause = error instanceof IoError && error.cause !== undefined ? error.cause : error;
  const known = osError(cause, doing, path);
  if (!(known instanceof IoError)) return error;
  const { code, context } = known;
  const hint = 'name another cache folder with --cache-dir, or go without one: --no-cache';
  return new IoError(known.message, { code, context, hint, cause });
}

/** The one read that proves a regenerated disk before it is used. */
async function prove(
  path: string,
  { sha256, size }: BlobRef,
  { digest, signal, onBytes }: AdmitOptions = {},
): Promise<void> {
  await using source = await openSource(path);
  if (source.size !== size) {
    throw new IntegrityError(`the regenerated disk has ${source.size} bytes instead of ${size}`, {
      code: 'BASE_SIZE',
      context: { file: path, expected: size, found: source.size },
      hint: 'check the SHA-256 of the ISO; if it is right, report this',
    });
  }
  await using handle = await open(path, 'r+');
  const found = digest ?? (await readBack(source, handle, { signal, onBytes }));
  if (found !== sha256) {
    throw new IntegrityError('the regenerated disk does not have the SHA-256 its osmet promises', {
      code: 'BASE_DIGEST',
      context: { expected: sha256, found },
      hint: 'check the SHA-256 of the ISO; if it is right, report this',
    });
  }
  await handle.sync();
}

async function readBack(
  source: Source,
  handle: FileHandle,
  { signal, onBytes }: AdmitOptions,
): Promise<Sha256> {
  const sink = hashingSink(holeDigger(handle), hashingHere(signal));
  await copyRange(source, 0, source.size, sink, copyBuffers(), {
    signal,
    onBytes: () => onBytes?.(sink.bytes),
  });
  return sink.digest();
}
