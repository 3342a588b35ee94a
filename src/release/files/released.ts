import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { execa } from 'execa';
import { FormatError, RehydrateError, throwIfAborted, toolMissing } from '../../core/errors.ts';
import type { BlobRef } from '../../core/io/digest.ts';
import { createHasher, type Hasher } from '../../core/io/digest.ts';
import { osError } from '../../core/io/os-error.ts';
import type { StreamArtifact } from '../stream/artifacts.ts';
import type { Compression } from '../stream/names.ts';
import { unzip } from './unzip.ts';

/** A released file at hand. */
export interface ReleasedFile {
  readonly path: string;
  readonly compression: Compression;
}

/**
 * Finds an artifact's file in a folder: the released file or, where the stream attests the
 * uncompressed bytes too, one that somebody has unpacked already. Undefined if neither is there.
 */
export async function findReleased(
  folder: string,
  {
    releasedName,
    name,
    compression,
    attestation,
  }: Pick<StreamArtifact, 'releasedName' | 'name' | 'compression' | 'attestation'>,
): Promise<ReleasedFile | undefined> {
  const candidates: ReleasedFile[] = [{ path: join(folder, releasedName), compression }];
  if (attestation === 'uncompressed-sha256') {
    candidates.push({ path: join(folder, name), compression: 'none' });
  }
  for (const candidate of candidates) {
    try {
      if ((await stat(candidate.path)).isFile()) return candidate;
    } catch (error) {
      const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
      if (!absent) throw osError(error, 'look at', candidate.path);
    }
  }
  return undefined;
}

/** The bytes of a released file's target, and what was read to get them. */
export interface ReleasedReader {
  /** Uncompressed; iterate once. Chunks are the receiver's to keep. */
  readonly target: AsyncIterable<Uint8Array>;
  /** Of the file as it lies there; call once `target` ended. */
  fileDigest(): BlobRef;
}

const CHUNK = 1 << 20;

/**
 * Streams a released file, decompressing on the way: gz, zip and zst by Node's zlib, xz by the `xz`
 * program. Nothing is unpacked to disk, and the file's own SHA-256 falls out of the same read.
 * `target` throws FormatError `COMPRESSED_DAMAGED` or ToolError `TOOL_MISSING`.
 */
export function readReleased(file: ReleasedFile, signal?: AbortSignal): ReleasedReader {
  const hasher = createHasher();
  const compressed = readHashed(file.path, hasher, signal);
  return {
    target: decompress(compressed, file, signal),
    fileDigest: () => ({ size: hasher.bytes, sha256: hasher.digest() }),
  };
}

/** As {@link readReleased} for who hashes the target: a file that is not compressed is hashed once only. */
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
    await using handle = await open(path, 'r');
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

function decompress(
  compressed: AsyncIterable<Uint8Array>,
  { path, compression }: ReleasedFile,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case 'none':
      return compressed;
    case 'gz':
      return throughZlib(compressed, createGunzip({ chunkSize: CHUNK }), path);
    case 'zst':
      return throughZlib(compressed, createZstdDecompress({ chunkSize: CHUNK }), path);
    case 'zip':
      return throughUnzip(compressed, path);
    case 'xz':
      return throughXz(compressed, path, signal);
  }
}

async function* throughZlib(
  compressed: AsyncIterable<Uint8Array>,
  transform: Transform,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const feeding = pipeline(compressed, transform);
  feeding.catch(() => {}); // the loop below meets the same error
  try {
    for await (const chunk of transform as AsyncIterable<Uint8Array>) yield chunk;
    await feeding;
  } catch (error) {
    throw damaged(error, path);
  } finally {
    transform.destroy();
  }
}

async function* throughUnzip(
  compressed: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* unzip(compressed, path, CHUNK);
  } catch (error) {
    throw damaged(error, path);
  }
}

async function* throughXz(
  compressed: AsyncIterable<Uint8Array>,
  path: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stop = new AbortController();
  const xz = execa('xz', ['--decompress', '--stdout', '--threads=0'], {
    stdin: 'pipe',
    buffer: { stdout: false, stderr: true },
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
    // If reading failed, xz merely saw an early end. EPIPE is the reverse: xz gave up, its exit tells.
    if (readFailure instanceof RehydrateError) throw readFailure;
    if (result.failed) {
      if (result.code === 'ENOENT')
        throw toolMissing('xz', 'install it (Debian: xz-utils, Fedora: xz)', result);
      const said = Buffer.from(result.stderr).toString('utf8').trim().slice(0, 200);
      throw damaged(new Error(said || result.shortMessage), path);
    }
  } finally {
    stop.abort();
  }
}

/** Errors of reading and cancelling pass; what the decompressor says means a broken file. */
function damaged(error: unknown, path: string): unknown {
  if (error instanceof RehydrateError) return error;
  return new FormatError(`${path} cannot be decompressed`, {
    code: 'COMPRESSED_DAMAGED',
    context: { file: path },
    hint: 'fetch the file again',
    cause: error,
  });
}
