import { randomBytes } from 'node:crypto';
import { chmod, link, open, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted } from '../../core/errors.ts';
import { syncFolder, tidyFolder, writeAtomically } from '../../core/io/atomic.ts';
import { type BlobRef, createHasher, type Sha256, sha256Of } from '../../core/io/digest.ts';
import { makeFolder } from '../../core/io/folders.ts';
import { hashFile } from '../../core/io/hash-file.ts';
import { osError } from '../../core/io/os-error.ts';
import { readWhole } from '../../core/io/regular.ts';
import { makeScratch, reclaimScratch, type Scratch } from '../../core/io/scratch.ts';
import { fileSink } from '../../core/io/sink.ts';
import { trim } from './housekeeping.ts';

/**
 * Blobs and ISOs that came over a network, by content: `<dir>/blobs/<sha256>`. Each is hashed before it is used.
 * A run hard-links them into a folder of its own, so that a file stays usable until the run ends, even if another
 * run removes it from the cache for lack of room.
 */
export interface BlobCache extends AsyncDisposable {
  /** A folder of this run on the file system of the cache; removed on dispose. */
  scratch(): Promise<string>;
  /** Whether the blob is cached and intact; if so, it is now at `target`. */
  take(sha256: Sha256, target: string, options?: TakeOptions): Promise<boolean>;
  /** Has `make` write the verified blob to a path, and links it to `target`. */
  add(blob: BlobRef, target: string, make: (path: string) => Promise<void>): Promise<void>;
  /** A small document, if it is cached. */
  read(sha256: Sha256): Promise<Buffer | undefined>;
  keep(bytes: Uint8Array): Promise<void>;
  /** Accepts bytes that may be one of the `wanted` blobs, as their digest will tell. */
  receive(wanted: readonly BlobRef[]): Promise<Receiver>;
}

export interface TakeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number) => void) | undefined;
}

/** A file being written; disposing of it without `finish` drops it. */
export interface Receiver extends AsyncDisposable {
  write(bytes: Uint8Array): Promise<void>;
  /** The wanted blob that it turned out to be, linked to a path of this run; undefined if it is none of them. */
  finish(): Promise<{ readonly blob: BlobRef; readonly path: string } | undefined>;
}

/** Larger documents are not cached. */
const MAX_DOCUMENT = 16 << 20;

export async function openBlobCache({
  dir,
  maxBytes,
}: {
  readonly dir: string;
  /** Limit for everything that the cache folder holds, disks included, in allocated bytes. */
  readonly maxBytes: number;
}): Promise<BlobCache> {
  const blobs = join(dir, 'blobs');
  const pathOf = (sha256: Sha256) => join(blobs, sha256);
  const prefix = join(dir, 'run-');
  let made: Promise<Scratch> | undefined;
  await makeFolder(blobs);
  await reclaimScratch(prefix);
  await tidyFolder(blobs);

  const scratch = async () => {
    made ??= makeScratch(prefix);
    try {
      return (await made).path;
    } catch (error) {
      throw osError(error, 'write to the cache folder', dir);
    }
  };

  /** Links a file of the cache; false if it is not cached. */
  const linked = async (sha256: Sha256, target: string): Promise<boolean> => {
    const path = pathOf(sha256);
    try {
      await rm(target, { force: true });
      await link(path, target);
      await utimes(path, new Date(), (await stat(path)).mtime).catch(() => {});
      return true;
    } catch {
      return false;
    }
  };

  const take: BlobCache['take'] = async (sha256, target, options = {}) => {
    if (!(await linked(sha256, target))) return false;
    const found = await hashFile(target, options).catch(() => undefined);
    throwIfAborted(options.signal);
    if (found?.sha256 === sha256) return true;
    await rm(target, { force: true });
    await rm(pathOf(sha256), { force: true });
    return false;
  };

  const settle = async (sha256: Sha256, target: string): Promise<void> => {
    const path = pathOf(sha256);
    await chmod(path, 0o444).catch(() => {}); // another run may have removed it for lack of room
    await link(path, target);
    await trim(dir, maxBytes, path);
  };

  return {
    scratch,
    take,
    async add({ sha256 }, target, make) {
      try {
        await make(pathOf(sha256));
        await rm(target, { force: true });
        await settle(sha256, target);
      } catch (error) {
        throw osError(error, 'store in the cache', pathOf(sha256));
      }
    },
    async read(sha256) {
      const path = pathOf(sha256);
      const how = { limit: MAX_DOCUMENT, what: 'a document in the cache' };
      const bytes = await readWhole(path, how).catch(() => undefined);
      if (bytes === undefined) return undefined;
      if (sha256Of(bytes) === sha256) return bytes;
      await rm(path, { force: true });
      return undefined;
    },
    async keep(bytes) {
      const path = pathOf(sha256Of(bytes));
      if ((await stat(path).catch(() => undefined))?.size === bytes.length) return;
      await writeAtomically(path, (sink) => sink.write(bytes));
      await trim(dir, maxBytes, path);
    },
    async receive(wanted) {
      const path = join(await scratch(), `incoming-${randomBytes(6).toString('hex')}`);
      const handle = await open(path, 'wx', 0o600).catch((error: unknown) => {
        throw osError(error, 'write', path);
      });
      const sink = fileSink(handle, path);
      const hasher = createHasher();
      return {
        async write(bytes) {
          hasher.update(bytes);
          await sink.write(bytes);
        },
        async finish() {
          await sink.finish();
          const found = hasher.digest();
          const blob = wanted.find(({ sha256 }) => sha256 === found);
          if (blob === undefined) return undefined;
          try {
            await handle.sync();
            const target = join(await scratch(), found);
            await rename(path, pathOf(found));
            await syncFolder(blobs);
            await rm(target, { force: true });
            await settle(found, target);
            return { blob, path: target };
          } catch (error) {
            throw osError(error, 'store in the cache', pathOf(found));
          }
        },
        async [Symbol.asyncDispose]() {
          await handle.close();
          await rm(path, { force: true });
        },
      };
    },
    async [Symbol.asyncDispose]() {
      const run = await made?.catch(() => undefined);
      await run?.[Symbol.asyncDispose]();
    },
  };
}
