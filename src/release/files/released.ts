import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { execa } from 'execa';
import {
  FormatError,
  RehydrateError,
  throwIfAborted,
  toolMissing,
  UnsupportedError,
} from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { createHasher, type Hasher } from '../../core/io/digest.ts';
import { errnoOf, isAbsent, osError } from '../../core/io/os-error.ts';
import { openRegular } from '../../core/io/regular.ts';
import { openSource } from '../../core/io/source.ts';
import { checkSize } from '../../core/plausible.ts';
import { feedOf } from '../../formats/compressed/feed.ts';
import { gunzipAll } from '../../formats/compressed/gzip.ts';
import { nameKind } from '../../formats/compressed/kind.ts';
import { affordableWindowLog, isWindowTooLarge, unzstdAll } from '../../formats/compressed/zstd.ts';
import { onlyEntry } from '../../formats/zip/directory.ts';
import { unzipEntry } from '../../formats/zip/unzip.ts';
import type { StreamArtifact } from '../stream/artifacts.ts';
import type { Compression } from '../stream/names.ts';

/** A local released file. */
export interface ReleasedFile {
  readonly path: string;
  readonly compression: Compression;
}

/**
 * Finds an artifact's file in a folder: the released file or, where the stream attests the
 * uncompressed bytes too, an already unpacked copy. Undefined if neither exists.
 */
export async function findReleased(
  folder: string,
  {
    releasedName,
    name,
    compression,
    attestation,
    location = '',
  }: Pick<StreamArtifact, 'releasedName' | 'name' | 'compression' | 'attestation'> & {
    readonly location?: string;
  },
): Promise<ReleasedFile | undefined> {
  const candidates = [folder, ...foldersOf(location).map((one) => join(folder, one))].flatMap(
    (place): ReleasedFile[] => [
      { path: join(place, releasedName), compression },
      ...(attestation === 'uncompressed-sha256'
        ? [{ path: join(place, name), compression: 'none' as const }]
        : []),
    ],
  );
  for (const candidate of candidates) {
    try {
      if ((await stat(candidate.path)).isFile()) return candidate;
    } catch (error) {
      const isElsewhere = errnoOf(error) === 'ENOTDIR' && dirname(candidate.path) !== folder;
      if (!isAbsent(error) && !isElsewhere) throw osError(error, 'look at', candidate.path);
    }
  }
  return undefined;
}

/**
 * The folders of a location from its host on, and of each part of it from there: a copy of a release's site may begin
 * at any of them. Unusual ones are passed over.
 */
function foldersOf(location: string): string[] {
  const path = URL.canParse(location) ? new URL(location).pathname : location;
  const names = path.split('/').slice(0, -1).filter(Boolean);
  if (!names.every((name) => /^[\w.+~@=,-]+$/.test(name) && !/^\.+$/.test(name))) return [];
  return names.map((_, index) => names.slice(index).join('/'));
}

/** The bytes of a released file's target, and the digest of the file. */
export interface ReleasedReader {
  /** Uncompressed; iterate once. Chunks are the receiver's to keep. */
  readonly target: AsyncIterable<Uint8Array>;
  /** Digest of the file as it is on disk; call it after `target` has ended. */
  fileDigest(): BlobRef;
}

const CHUNK = 1 << 20;

/**
 * Streams a released file, decompressing on the way: gz, zip and zst by Node's zlib, xz by the `xz`
 * program. All members, frames and streams of a file are read, and nothing may follow the last one. Nothing
 * is unpacked to disk, and the same read gives the file's own SHA-256. `target` throws FormatError
 * `COMPRESSED_DAMAGED`, UnsupportedError `ZIP_KIND` or `WINDOW_TOO_LARGE`, or ToolError `TOOL_MISSING`.
 */
export function readReleased(file: ReleasedFile, signal?: AbortSignal): ReleasedReader {
  const hasher = createHasher();
  const compressed = readHashed(file.path, hasher, signal);
  return {
    target: limited(decompress(compressed, file, signal), file.path),
    fileDigest: () => ({ size: hasher.bytes, sha256: hasher.digest() }),
  };
}

/** A few bytes can unpack to endless data. */
async function* limited(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    checkSize(`what is in ${path}`, bytes);
    yield chunk;
  }
}

/** As {@link readReleased}, for callers that hash the target: an uncompressed file is hashed once only. */
export function readReleasedOnce(
  file: ReleasedFile,
  signal?: AbortSignal,
): Pick<ReleasedReader, 'target'> & { fileDigest(target: BlobRef): BlobRef } {
  if (file.compression !== 'none') return readReleased(file, signal);
  return { target: readHashed(file.path, undefined, signal), fileDigest: (target) => target };
}

async function* readHashed(
  path: string,
  hasher: Hasher | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    await using handle = await openRegular(path, { signal });
    for (;;) {
      throwIfAborted(signal);
      const buffer = Buffer.allocUnsafe(CHUNK);
      const { bytesRead } = await handle.read(buffer, 0, CHUNK);
      if (bytesRead === 0) return;
      const chunk = buffer.subarray(0, bytesRead);
      hasher?.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw osError(error, 'read', path);
  }
}

async function* decompress(
  compressed: AsyncIterable<Uint8Array>,
  { path, compression }: ReleasedFile,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (compression === 'none') return yield* compressed;
  const iterator = compressed[Symbol.asyncIterator]();
  try {
    const chunks = await checkKind(iterator, compression);
    switch (compression) {
      case 'gz':
        return yield* gunzipAll(feedOf(chunks), CHUNK);
      case 'zst':
        return yield* unzstdAll(chunks, {
          chunkSize: CHUNK,
          maxWindowLog: affordableWindowLog(),
        });
      case 'zip':
        return yield* throughUnzip(chunks, path);
      case 'xz':
        return yield* throughXz(chunks, signal);
    }
  } catch (error) {
    throw damaged(error, path);
  } finally {
    await iterator.return?.();
  }
}

/** Refuses a file whose extension does not match its kind, which decompressors would call damaged. */
async function checkKind(
  iterator: AsyncIterator<Uint8Array>,
  compression: Exclude<Compression, 'none'>,
): Promise<AsyncGenerator<Uint8Array>> {
  const first = await iterator.next();
  const problem = first.done ? 'it is empty' : nameKind(first.value, compression);
  if (problem) throw new RangeError(problem);
  async function* whole() {
    for (let next = first; !next.done; next = await iterator.next()) yield next.value;
  }
  return whole();
}

async function* throughUnzip(
  compressed: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  await using source = await openSource(path);
  yield* unzipEntry(compressed, await onlyEntry(source), path, CHUNK);
}

async function* throughXz(
  compressed: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stop = new AbortController();
  const memory = `--memlimit-decompress=${Math.floor(process.availableMemory() / 2)}`;
  const xz = execa('xz', ['--decompress', '--stdout', '--format=xz', '--threads=0', memory], {
    env: { XZ_DEFAULTS: '', XZ_OPT: '', LC_ALL: 'C' },
    stdin: 'pipe',
    buffer: { stdout: false, stderr: true },
    maxBuffer: 1 << 16,
    encoding: 'buffer',
    reject: false,
    cancelSignal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal,
  });
  let readFailure: unknown;
  const feeding = pipeline(compressed, xz.stdin).catch((error: unknown) => {
    readFailure = error;
  });
  try {
    for await (const chunk of xz.stdout as AsyncIterable<Uint8Array>) yield chunk;
    const result = await xz;
    await feeding;
    throwIfAborted(signal);
    // If reading failed, xz only saw an early end. EPIPE is the reverse: xz gave up, and its exit has the
    // reason.
    if (readFailure instanceof RehydrateError) throw readFailure;
    if (result.failed) {
      if (result.code === 'ENOENT')
        throw toolMissing('xz', 'install it (Debian: xz-utils, Fedora: xz)', result);
      const said = Buffer.from(result.stderr).toString('utf8').trim().slice(0, 200);
      throw new Error(said || result.shortMessage);
    }
  } finally {
    stop.abort();
  }
}

/** Errors of reading and cancelling pass unchanged; errors of the decompressor mean a damaged file. */
function damaged(error: unknown, path: string): unknown {
  if (error instanceof RehydrateError) return error;
  const why = error instanceof Error ? error.message : '';
  if (isWindowTooLarge(error) || why.includes('Memory usage limit')) {
    return new UnsupportedError(`${path} needs more than half of the free memory to decompress`, {
      code: 'WINDOW_TOO_LARGE',
      context: { file: path, available: process.availableMemory() },
      hint: 'use a machine with more memory; zstd --long=31 takes 2 GiB',
      cause: error,
    });
  }
  return new FormatError(`${path} cannot be decompressed${why && `: ${why}`}`, {
    code: 'COMPRESSED_DAMAGED',
    context: { file: path },
    hint: 'fetch the file again',
    cause: error,
  });
}
