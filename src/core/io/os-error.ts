import { IoError, RehydrateError } from '../errors.ts';

const HINTS: Readonly<Record<string, { code: string; what: string; hint: string }>> = {
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
  ENOTDIR: { code: 'NOT_FOUND', what: 'a part of the path is no folder', hint: 'check the path' },
  EISDIR: { code: 'IS_FOLDER', what: 'is a folder', hint: 'name a file' },
  EEXIST: { code: 'EXISTS', what: 'exists already', hint: 'choose another path or remove it' },
  EACCES: { code: 'PERMISSION', what: 'permission denied', hint: 'check owner and mode' },
  EPERM: { code: 'PERMISSION', what: 'operation not permitted', hint: 'check owner and mode' },
  EROFS: {
    code: 'PERMISSION',
    what: 'read-only file system',
    hint: 'choose another output folder',
  },
};

/**
 * Wraps an errno exception of node:fs as an {@link IoError} that names what was being done to
 * which path. Errors of our own pass through unchanged, others too (they are bugs).
 */
export function osError(error: unknown, doing: string, path: string): unknown {
  if (error instanceof RehydrateError || !(error instanceof Error)) return error;
  const errno = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  if (errno === undefined || !/^E[A-Z0-9]+$/.test(errno)) return error;
  const known = HINTS[errno];
  return new IoError(`cannot ${doing} ${path}: ${known?.what ?? errno}`, {
    code: known?.code ?? 'IO',
    context: { path, errno },
    ...(known ? { hint: known.hint } : {}),
    cause: error,
  });
}
