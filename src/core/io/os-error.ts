import { constants } from 'node:os';
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
  EUCLEAN: { code: 'IO', what: 'the file system is damaged', hint: 'check it: see dmesg and fsck' },
  EREMOTEIO: { code: 'IO', what: 'remote input/output error', hint: 'check the remote disk' },
  ENOMEDIUM: { code: 'IO', what: 'no medium in the drive', hint: 'insert it' },
  ENOKEY: { code: 'PERMISSION', what: 'the folder is encrypted', hint: 'unlock it' },
  EHWPOISON: {
    code: 'IO',
    what: 'a page of memory is defective',
    hint: 'check the memory: see dmesg',
  },
  ESTALE: {
    code: 'IO',
    what: 'the file is gone from its server',
    hint: 'mount the file system again',
  },
  ENXIO: { code: 'IO', what: 'no such device', hint: 'check the path' },
  ENODEV: { code: 'IO', what: 'no such device', hint: 'check the path' },
  ETIMEDOUT: { code: 'IO', what: 'no answer in time', hint: 'try again' },
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
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return;
  if (/^E[A-Z0-9]+$/.test(error.code)) return error.code;
  const { errno } = error as NodeJS.ErrnoException;
  if (!/^(UNKNOWN$|Unknown system error )/.test(error.code) || !errno) return;
  return nameOf(Math.abs(errno));
}

/**
 * Numbers that libuv gives no name, so that Node's code is "Unknown system error -122": quotas, stale NFS handles,
 * damaged file systems. Those that node:os lacks are Linux's (errno-base.h, errno.h).
 */
function nameOf(number: number): string {
  const [known] = Object.entries(constants.errno).find(([, value]) => value === number) ?? [];
  return known ?? LINUX[number] ?? `E${number}`;
}

const LINUX: Readonly<Record<number, string>> = {
  117: 'EUCLEAN',
  121: 'EREMOTEIO',
  123: 'ENOMEDIUM',
  126: 'ENOKEY',
  133: 'EHWPOISON',
};

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
