import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { createInflateRaw, inflateRawSync } from 'node:zlib';
import { FormatError } from '../../../core/errors.ts';
import { osError } from '../../../core/io/os-error.ts';
import { shortRead } from '../../../core/io/short-read.ts';
import type { Change, Job } from './messages.ts';
import type { Taker } from './taker.ts';

const CHUNK = 1 << 20;
/** `_ostree_zlib_file_header_new` in libostree's ostree-core.c: length, padding, then "(tuuuusa(ayay))" in big endian. */
const PREFIX = 8;
const SIZE_AT = PREFIX;
const MODE_AT = PREFIX + 16;
const MIN_HEADER = 24;
const MAX_HEADER = 1 << 20;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
/** Bytes that are inflated at once. */
const AT_ONCE = 4 << 20;

/** Reads files of a folder, and the contents of `.filez` objects; symbolic links are not followed. */
export async function readPaths(
  { folder, paths, archive }: Extract<Job, { kind: 'paths' }>,
  taker: Taker,
): Promise<{ changes: Change[]; bytes: number }> {
  const changes: Change[] = [];
  const buffer = Buffer.allocUnsafe(CHUNK);
  let bytes = 0;
  for (const path of paths) {
    const full = join(folder, path);
    const fd = openFile(full);
    try {
      const isObject = archive && path.endsWith('.filez');
      const read = isObject ? await readObject(fd, full, taker) : readFile(fd, full, buffer, taker);
      if (read) changes.push({ kind: 'file', path, ...read });
      bytes += read?.size ?? 0;
    } finally {
      closeSync(fd);
    }
  }
  return { changes, bytes };
}

interface Read {
  readonly size: number;
  readonly sha256: string;
}

function openFile(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw osError(error, 'open', path);
  }
}

/** Undefined if it is no longer a regular file. */
function readFile(fd: number, path: string, buffer: Buffer, taker: Taker): Read | undefined {
  const stat = fstatSync(fd);
  if (!stat.isFile()) return undefined;
  const { size } = stat;
  if (size === 0) return { size, sha256: '' };
  taker.begin(size);
  for (let at = 0; at < size; ) {
    const got = readAt(fd, path, buffer.subarray(0, Math.min(CHUNK, size - at)), at);
    if (got === 0) throw shortRead(path, at, at, size - at);
    taker.write(buffer.subarray(0, got));
    at += got;
  }
  return { size, sha256: taker.end() };
}

function readAt(fd: number, path: string, buffer: Buffer, position: number): number {
  try {
    return readSync(fd, buffer, 0, buffer.length, position);
  } catch (error) {
    throw osError(error, 'read', path);
  }
}

/** Undefined for the object of a symbolic link. */
async function readObject(fd: number, path: string, taker: Taker): Promise<Read | undefined> {
  const stored = fstatSync(fd).size;
  const head = Buffer.alloc(Math.min(PREFIX + MIN_HEADER, stored));
  readAt(fd, path, head, 0);
  if (head.length < PREFIX + MIN_HEADER) throw damaged(path, 'it is too short');
  const start = PREFIX + head.readUInt32BE(0);
  if (start < PREFIX + MIN_HEADER || start > Math.min(MAX_HEADER, stored)) {
    throw damaged(path, 'its header is invalid');
  }
  if ((head.readUInt32BE(MODE_AT) & S_IFMT) !== S_IFREG) return undefined;
  const size = Number(head.readBigUInt64BE(SIZE_AT));
  if (!Number.isSafeInteger(size)) throw damaged(path, 'its size is invalid');
  if (size === 0) return { size, sha256: '' };
  taker.begin(size);
  let left = size;
  const take = (bytes: Uint8Array) => {
    left -= bytes.length;
    if (left < 0) throw damaged(path, `it holds more than its ${size} bytes`);
    taker.write(bytes);
  };
  try {
    if (size <= AT_ONCE && stored <= AT_ONCE) {
      const deflated = Buffer.alloc(stored - start);
      readAt(fd, path, deflated, start);
      take(inflateRawSync(deflated, { maxOutputLength: size }));
    } else {
      const inflate = createInflateRaw({ chunkSize: CHUNK });
      pump(fd, path, start, stored, inflate);
      for await (const bytes of inflate as AsyncIterable<Buffer>) take(bytes);
    }
  } catch (error) {
    if (error instanceof FormatError || !(error instanceof Error)) throw error;
    if (!('code' in error) || !/^(Z_|ERR_BUFFER_TOO_LARGE)/.test(String(error.code))) throw error;
    throw damaged(path, error.message, error);
  }
  if (left > 0) throw damaged(path, `it holds less than its ${size} bytes`);
  return { size, sha256: taker.end() };
}

/** Feeds the inflater as fast as it reads; errors appear in the loop that reads its output. */
function pump(
  fd: number,
  path: string,
  start: number,
  end: number,
  inflate: ReturnType<typeof createInflateRaw>,
): void {
  let at = start;
  const more = () => {
    try {
      for (;;) {
        if (inflate.destroyed) return;
        if (at >= end) return void inflate.end();
        const piece = Buffer.allocUnsafe(Math.min(CHUNK, end - at));
        const got = readAt(fd, path, piece, at);
        if (got === 0) throw shortRead(path, at, at, end - at);
        at += got;
        if (!inflate.write(piece.subarray(0, got))) return void inflate.once('drain', more);
      }
    } catch (error) {
      inflate.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  };
  more();
}

function damaged(path: string, why: string, cause?: unknown): FormatError {
  return new FormatError(`the OSTree object ${path} is damaged: ${why}`, {
    code: 'OSTREE_OBJECT',
    context: { path },
    hint: 'run ostree fsck on the repository',
    cause,
  });
}
