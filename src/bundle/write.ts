import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { throwIfAborted } from '../core/errors.ts';
import { syncFolder, writeAtomically } from '../core/io/atomic.ts';
import { copyBuffers, copyRange } from '../core/io/copy.ts';
import { type BlobRef, hashingHere } from '../core/io/digest.ts';
import { makeFolder } from '../core/io/folders.ts';
import { hashFile } from '../core/io/hash-file.ts';
import { osError } from '../core/io/os-error.ts';
import { makeScratch, reclaimScratch, type Scratch } from '../core/io/scratch.ts';
import { fileSink, hashingSink, type Sink } from '../core/io/sink.ts';
import { openSource, type Source } from '../core/io/source.ts';
import { encodeIndex, encodeLayout, type OciIndex } from '../formats/oci/oci.ts';
import { blobPath } from './blobs.ts';
import { besideTarget, isSameBundle, putInPlace, refuseTaken, resolveTarget } from './folder.ts';
import { isBundle } from './read.ts';

/**
 * A bundle in the making: a hidden folder beside the target. Nothing appears at the target before
 * `commit`; disposing without it removes everything.
 */
export interface BundleWriter extends AsyncDisposable {
  /** Where the unfinished bundle lies: it can be opened for verification once the index is there. */
  readonly path: string;
  addBytes(bytes: Uint8Array): Promise<BlobRef>;
  /** Adds a blob that `body` writes. */
  addStream<T>(body: (sink: Sink) => Promise<T>): Promise<{ blob: BlobRef; result: T }>;
  /**
   * Writes a file that is in no folder: it takes room beside the bundle until it is closed, or the
   * process ends, however it ends. Zero blocks become holes.
   */
  addScratch<T>(body: (sink: Sink) => Promise<T>): Promise<{ source: Source; result: T }>;
  /** Copies a file (as a reflink where the file system can) and hashes it in one read. */
  addFile(path: string, options?: AddFileOptions): Promise<BlobRef>;
  addIndex(index: Omit<OciIndex, 'schemaVersion' | 'mediaType'>): Promise<void>;
  commit(): Promise<void>;
}

export interface AddFileOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number) => void) | undefined;
}

export interface BundleWriterOptions {
  /** Replace a bundle that is at the target. Anything else there is never replaced. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Throws UsageError `BUNDLE_EXISTS` before any work if the target is taken. */
export async function createBundleWriter(
  target: string,
  { force = false, signal }: BundleWriterOptions = {},
): Promise<BundleWriter> {
  throwIfAborted(signal);
  const absolute = await resolveTarget(target);
  await refuseTaken(absolute, force);
  let scratch: Scratch;
  try {
    await makeFolder(dirname(absolute));
    await reclaimScratch(besideTarget(absolute));
    scratch = await makeScratch(besideTarget(absolute));
  } catch (error) {
    throw osError(error, 'create', absolute);
  }
  const { path } = scratch;
  const remove = () => scratch[Symbol.asyncDispose]();
  try {
    await chmod(path, 0o755);
    await makeFolder(join(path, 'blobs', 'sha256'));
  } catch (error) {
    await remove();
    throw osError(error, 'create', absolute);
  }
  const incoming = () => join(path, 'blobs', `incoming-${randomBytes(6).toString('hex')}`);
  const settle = async (part: string, blob: BlobRef): Promise<BlobRef> => {
    await rename(part, blobPath(path, blob.sha256));
    return blob;
  };

  async function addStream<T>(
    body: (sink: Sink) => Promise<T>,
  ): Promise<{ blob: BlobRef; result: T }> {
    const part = incoming();
    const { blob, result } = await writeAtomically(
      part,
      async (sink) => {
        using hashing = hashingSink(sink, hashingHere(signal));
        const made = await body(hashing);
        return { result: made, blob: { sha256: await hashing.digest(), size: hashing.bytes } };
      },
      { signal },
    );
    return { blob: await settle(part, blob), result };
  }

  async function addScratch<T>(body: (sink: Sink) => Promise<T>) {
    const scratch = join(path, `scratch-${randomBytes(6).toString('hex')}`);
    try {
      await using handle = await open(scratch, 'wx', 0o600);
      const sink = fileSink(handle, scratch);
      const result = await body(sink);
      await sink.finish();
      const source = await openSource(scratch);
      try {
        await rm(scratch);
      } catch (error) {
        await source.close();
        throw error;
      }
      return { source, result };
    } catch (error) {
      await rm(scratch, { force: true });
      throw osError(error, 'write', scratch);
    }
  }

  async function addFile(file: string, options: AddFileOptions = {}): Promise<BlobRef> {
    const part = incoming();
    try {
      await copyFile(file, part, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    } catch {
      await rm(part, { force: true });
      return copyInto(file, options);
    }
    await chmod(part, 0o644);
    const blob = await hashFile(part, options);
    return settle(part, blob);
  }

  async function copyInto(file: string, options: AddFileOptions): Promise<BlobRef> {
    await using source = await openSource(file);
    const { blob } = await addStream(async (sink) => {
      let done = 0;
      await copyRange(source, 0, source.size, sink, copyBuffers(), {
        signal: options.signal,
        onBytes(length) {
          done += length;
          options.onBytes?.(done);
        },
      });
    });
    return blob;
  }

  return {
    path,
    addStream,
    addScratch,
    addFile,
    async addBytes(bytes) {
      return (await addStream((sink) => sink.write(bytes))).blob;
    },
    async addIndex(index) {
      await writeAtomically(join(path, 'index.json'), (sink) => sink.write(encodeIndex(index)));
      await writeAtomically(join(path, 'oci-layout'), (sink) => sink.write(encodeLayout()));
    },
    async commit() {
      throwIfAborted(signal);
      if (!(await isBundle(path))) {
        throw new Error('commit() before addIndex()');
      }
      await syncFolder(join(path, 'blobs', 'sha256'));
      try {
        await refuseTaken(absolute, force);
        await putInPlace(path, absolute, { replace: force });
      } catch (error) {
        // Another run may have put the same bundle there in the meantime.
        if (!(await isSameBundle(path, absolute))) throw error;
      }
    },
    [Symbol.asyncDispose]: remove,
  };
}
