import type { CodeOf } from '../error-codes.ts';
import { IoError, RehydrateError } from '../errors.ts';

const HINTS: Readonly<Record<string, { code: CodeOf<'io'>; what: string; hint: string }>> = {
  ENOSPC: {
    code: 'DISK_FULL',
    what: 'no space left',
    hint: 'free some space or choose another output folder',
  },
  EDQUOT: {
    code: 'DISK_FULL',
    what: 'disk quota exceeded',
    hint: 'free some space or choose another output folder',
  },
  EFBIG: {
    code: 'DISK_FULL',
    what: 'file too large for this file system',
    hint: 'write to a file system that allows larger files',
  },
  ENOENT: { code: 'NOT_FOUND', what: 'no such file or folder', hint: 'check the path' },
  ENOTDIR: {
    code: 'NOT_FOUND',
    what: 'a part of the path is not a folder',
    hint: 'check the path',
  },
  EISDIR: { code: 'IS_FOLDER', what: 'is a folder', hint: 'name a file' },
  EEXIST: { code: 'EXISTS', what: 'exists already', hint: 'choose another path or remove it' },
  EACCES: { code: 'PERMISSION', what: 'permission denied', hint: 'check owner and mode' },
  EPERM: { code: 'PERMISSION', what: 'operation not permitted', hint: 'check owner and mode' },
  EMFILE: {
    code: 'TOO_MANY_FILES',
    what: 'too many open files',
    hint: 'raise the limit of open files: ulimit -n 4096',
  },
  ENFILE: {
    code: 'TOO_MANY_FILES',
    what: 'too many open files in the whole system',
    hint: 'end other programs, or raise fs.file-max',
  },
  EIO: { code: 'IO', what: 'input/output error', hint: 'check the disk: see dmesg' },
  EROFS: {
    code: 'PERMISSION',
    what: 'read-only file system',
    hint: 'choose another output folder',
  },
  EBADF: { code: 'IO', what: 'it is closed', hint: 'do not close it' },
  EBUSY: { code: 'IO', what: 'it is in use', hint: 'end the program that uses it' },
  ENOMEM: { code: 'IO', what: 'memory ran out', hint: 'use a host with more memory' },
  ELOOP: { code: 'IO', what: 'too many symbolic links', hint: 'check the path' },
  ENAMETOOLONG: { code: 'IO', what: 'the path is too long', hint: 'choose a shorter path' },
  ECONNRESET: { code: 'IO', what: 'the connection broke off', hint: 'try again' },
  EPIPE: { code: 'IO', what: 'the reader has left', hint: 'try again' },
};

/** The name of the operating system's error, such as `ENOENT`; undefined for all other errors. */
export function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** True if nothing exists at the path. */
export const isAbsent = (error: unknown): boolean => errnoOf(error) === 'ENOENT';

/**
 * Wraps an errno exception of node:fs as an {@link IoError} that names what was being done to
 * which path. Errors of our own pass through unchanged, others too (they are bugs).
 */
export function osError(error: unknown, doing: string, path: string): unknown {
  if (error instanceof RehydrateError || !(error instanceof Error)) return error;
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const known = HINTS[errno];
  return new IoError(`cannot ${doing} ${path}: ${known?.what ?? errno}`, {
    code: known?.code ?? 'IO',
    context: { path, errno },
    ...(known ? { hint: known.hint } : {}),
    cause: error,
  });
}
