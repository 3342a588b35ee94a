import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { optionalAddon } from './addon.ts';
import { seekDataByReading } from './read-holes.ts';

// Functions that node:fs lacks. All of them return at once, so calling them synchronously is cheaper than using a
// thread pool. koffi is optional: each function says what it does without.
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const SEEK_END = 2;
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const F_DUPFD_CLOEXEC = 1030;
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;
const LOCK_EX = 2;
const LOCK_NB = 4;
const ENXIO = 6;
const EWOULDBLOCK = 11;

const libc = optionalAddon((require) => {
  const koffi: typeof import('koffi') = require('koffi');
  // null = symbols of the running process, so glibc and musl both serve.
  const self = koffi.load(null);
  return {
    errno: () => koffi.errno(),
    flock: self.func('int flock(int fd, int operation)'),
    lseek: self.func('int64_t lseek(int fd, int64_t offset, int whence)'),
    fcntl: self.func('int fcntl(int fd, int command, ...)'),
    exit: self.func('void _exit(int status)'),
    fallocate: self.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
    renameat2: () =>
      self.func(
        'int renameat2(int from, const char *old, int to, const char *path, unsigned int flags)',
      ),
  };
});

/** musl has had no wrapper of renameat2(2) for long. */
const renameat2 = optionalAddon(() => libc()?.renameat2());

/**
 * The next data region of a file of `size` bytes at or after `position` (bytes), as lseek(2)
 * reports it; `undefined` if only a hole remains. On a file system without holes: all the rest.
 * Without koffi, holes are found by reading: zeros count as a hole, and a region may be reported in parts.
 */
export function seekData(
  fd: number,
  position: number,
  size: number,
): { start: number; end: number } | undefined {
  if (position >= size) return undefined;
  const c = libc();
  if (c === undefined) return seekDataByReading(fd, position, size);
  const start = Number(c.lseek(fd, position, SEEK_DATA));
  if (start < 0) {
    return c.errno() === ENXIO ? undefined : { start: position, end: size };
  }
  if (start >= size) return undefined;
  const end = Number(c.lseek(fd, start, SEEK_HOLE));
  return { start, end: end < 0 ? size : Math.min(end, size) };
}

/** Size of an open file in bytes, of a block device too, for which stat(2) says 0; -1 without koffi. */
export function seekEnd(fd: number): number {
  const c = libc();
  return c === undefined ? -1 : Number(c.lseek(fd, 0, SEEK_END));
}

/** Whether {@link duplicate} works. */
export const canDuplicate = () => libc() !== undefined;

/** Another descriptor of the same open file, not inherited by children; -1 if none is left, or without koffi. */
export function duplicate(fd: number): number {
  return libc()?.fcntl(fd, F_DUPFD_CLOEXEC, 'int', 0) ?? -1;
}

/**
 * Ends the process at once. Node's `process.exit` waits for reads in its thread pool, and a read that is
 * stuck in the kernel (a FIFO, a dead network mount) never ends.
 */
export function exitNow(code: number): never {
  libc()?.exit(code);
  // Without koffi: replacing this program by another ends its threads as _exit(2) does.
  process.execve?.('/bin/sh', ['sh', '-c', `exit ${code}`]);
  process.exit(code);
}

/** Gives the blocks of a byte range back to the file system. False where it cannot punch holes, or without koffi. */
export function punchHole(fd: number, offset: number, length: number): boolean {
  return libc()?.fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length) === 0;
}

/** Lets two names change places in one step, by renameat2(2). False where that cannot be done. */
export function exchangeNames(one: string, other: string): boolean {
  return renameat2()?.(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) === 0;
}

/**
 * Takes an exclusive flock(2) on an open file or folder, without waiting. It ends when that is closed, so with the
 * process at the latest. `unsupported` where the file system has no locks.
 */
export function tryLock(fd: number): 'locked' | 'busy' | 'unsupported' {
  const c = libc();
  if (c === undefined) return lockByProgram(fd);
  if (c.flock(fd, LOCK_EX | LOCK_NB) === 0) return 'locked';
  return c.errno() === EWOULDBLOCK ? 'busy' : 'unsupported';
}

/** flock(1)'s exit code if another process holds the lock. */
const FLOCK_BUSY = 1;

/**
 * By flock(1), of util-linux and BusyBox: the lock belongs to the open file, which the program shares with us, and stays
 * when the program has ended.
 */
function lockByProgram(fd: number): 'locked' | 'busy' | 'unsupported' {
  const { status } = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  if (status === 0) return 'locked';
  return status === FLOCK_BUSY ? 'busy' : 'unsupported';
}
