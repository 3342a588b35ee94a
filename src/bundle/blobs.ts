import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError, IntegrityError, throwIfAborted } from '../core/errors.ts';
import type { BlobRef } from '../core/io/digest.ts';
import { createHasher, type Sha256 } from '../core/io/digest.ts';
import { isAbsent, osError } from '../core/io/os-error.ts';
import { openRegular } from '../core/io/regular.ts';

/** Limit of the JSON documents of a bundle: a manifest of 4,096 layers is under 3 MiB. */
export const MAX_JSON_BYTES = 16 << 20;
const CHUNK = 256 << 10;

export function blobPath(bundle: string, sha256: Sha256): string {
  return join(bundle, 'blobs', 'sha256', sha256);
}

const AGAIN = 'copy or pull the bundle again';

/**
 * Makes sure that a blob is a regular file of its descriptor's size, and returns its path. Symbolic
 * links and devices are refused: they could lead out of the bundle or never end.
 */
export async function checkBlob(bundle: string, ref: BlobRef): Promise<string> {
  const path = blobPath(bundle, ref.sha256);
  const context = { file: path, size: ref.size };
  let found: Awaited<ReturnType<typeof lstat>>;
  try {
    found = await lstat(path);
  } catch (error) {
    if (isAbsent(error)) {
      throw new IntegrityError(`blob ${ref.sha256} is missing from the bundle`, {
        code: 'BLOB_MISSING',
        context,
        hint: AGAIN,
        cause: error,
      });
    }
    throw osError(error, 'read', path);
  }
  if (!found.isFile()) {
    throw new FormatError(`blob ${ref.sha256} is not a regular file`, {
      code: 'BLOB_NOT_A_FILE',
      context,
    });
  }
  if (found.size !== ref.size) {
    throw new IntegrityError(
      `blob ${ref.sha256} has ${found.size} bytes, the bundle promises ${ref.size}`,
      { code: 'BLOB_SIZE', context: { ...context, found: found.size }, hint: AGAIN },
    );
  }
  return path;
}

/** Reads a small blob whole and hashes it before it is parsed. */
export async function readWholeBlob(
  bundle: string,
  ref: BlobRef,
  limit: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  if (ref.size > limit) {
    throw new FormatError(`blob ${ref.sha256} is too large: ${ref.size} bytes`, {
      code: 'TOO_LARGE',
      context: { size: ref.size, limit },
    });
  }
  const parts: Uint8Array[] = [];
  for await (const part of readBlob(bundle, ref, signal)) parts.push(part);
  return Buffer.concat(parts);
}

export function readJsonBlob(bundle: string, ref: BlobRef, signal?: AbortSignal): Promise<Buffer> {
  return readWholeBlob(bundle, ref, MAX_JSON_BYTES, signal);
}

/**
 * Streams a blob and hashes it on the way: the loop ends normally only if every byte was there and
 * the digest is right; otherwise IntegrityError `BLOB_DIGEST`. Each chunk is the receiver's to keep.
 */
export async function* readBlob(
  bundle: string,
  ref: BlobRef,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const path = await checkBlob(bundle, ref);
  const hasher = createHasher();
  try {
    await using handle = await openRegular(path, { signal });
    while (hasher.bytes < ref.size) {
      throwIfAborted(signal);
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK, ref.size - hasher.bytes));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, hasher.bytes);
      if (bytesRead === 0) break; // shrunk since checkBlob; the digest below will differ
      const chunk = buffer.subarray(0, bytesRead);
      hasher.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw osError(error, 'read', path);
  }
  const found = hasher.digest();
  if (found !== ref.sha256) {
    throw new IntegrityError(`blob ${ref.sha256} is damaged: its SHA-256 is ${found}`, {
      code: 'BLOB_DIGEST',
      context: { file: path, expected: ref.sha256, found },
      hint: AGAIN,
    });
  }
}
