import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
} from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { throwIfAborted, UsageError } from '../core/errors.ts';
import { syncFolder, writeAtomically } from '../core/io/atomic.ts';
import { copyBuffers, copyRange } from '../core/io/copy.ts';
import { type BlobRef, hashingHere } from '../core/io/digest.ts';
import { hashFile } from '../core/io/hash-file.ts';
import { osError } from '../core/io/os-error.ts';
import { fileSink, hashingSink, type Sink } from '../core/io/sink.ts';
import { openSource, type Source } from '../core/io/source.ts';
import { encodeIndex, encodeLayout, type OciIndex } from '../formats/oci/oci.ts';
import { blobPath } from './blobs.ts';
import { isBundle } from './read.ts';

/**
 * A bundle in the making: a hidden folder beside the target. Nothing appears at the target before
 * `commit`; disposing without it removes everything.
 */
export interface BundleWriter extends AsyncDisposable {
  /** Where the unfinished bundle lies: it can be opened for verification once the index is there. */
  readonly path: string;
  addBytes(bytes: Uint8Array): Promise<BlobRef>;
  /** Adds what `body` writes. */
  addStream<T>(body: (sink: Sink) => Promise<T>): Promise<{ blob: BlobRef; result: T }>;
  /**
   * Writes a file that is in no folder: it takes room beside the bundle until it is closed, or the
   * process ends in whatever way. Zero blocks become holes.
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
  const absolute = resolve(target);
  await refuseTaken(absolute, force);
  let path: string;
  try {
    await mkdir(dirname(absolute), { recursive: true });
    path = await mkdtemp(join(dirname(absolute), `.iso-rehydrate-${basename(absolute)}-`));
    await chmod(path, 0o755);
    await mkdir(join(path, 'blobs', 'sha256'), { recursive: true });
  } catch (error) {
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
      return { source: await openSource(scratch), result };
    } catch (error) {
      throw osError(error, 'write', scratch);
    } finally {
      await rm(scratch, { force: true });
    }
  }

  async function addFile(file: string, options: AddFileOptions = {}): Promise<BlobRef> {
    const part = incoming();
    try {
      await copyFile(file, part, constants.COPYFILE_FICLONE_FORCE);
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
      await refuseTaken(absolute, force);
      await replaceFolder(path, absolute);
    },
    async [Symbol.asyncDispose]() {
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** Fails if something is at the target that must not be replaced. */
async function refuseTaken(target: string, force: boolean): Promise<void> {
  try {
    await access(dirname(target));
    const found = await lstat(target);
    if (found.isDirectory() && (await readdir(target)).length === 0) return;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
    throw osError(error, 'look at', target);
  }
  const bundle = await isBundle(target);
  if (bundle && force) return;
  throw new UsageError(
    bundle ? `there is a bundle at ${target} already` : `${target} exists and is not a bundle`,
    {
      code: 'BUNDLE_EXISTS',
      context: { target },
      hint: bundle
        ? 'choose another -o, or replace it with --force'
        : 'choose another -o; only bundles are ever replaced',
    },
  );
}

/** Puts `made` at `target`; what was there is removed only after that, and put back on failure. */
async function replaceFolder(made: string, target: string): Promise<void> {
  const aside = `${made}-old`;
  let old = false;
  try {
    try {
      await rename(target, aside);
      old = true;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
    try {
      await rename(made, target);
    } catch (error) {
      if (old) await rename(aside, target);
      throw error;
    }
    await syncFolder(dirname(target));
    if (old) await rm(aside, { recursive: true, force: true });
  } catch (error) {
    throw osError(error, 'write', target);
  }
}
