import koffi from 'koffi';

// lseek(2) with SEEK_DATA/SEEK_HOLE and fallocate(2) are not in node:fs. Both return at once, so
// calling them synchronously is cheaper than a trip through a thread pool.
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const SEEK_END = 2;
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const F_DUPFD_CLOEXEC = 1030;
const LOCK_EX = 2;
const LOCK_NB = 4;
const ENXIO = 6;
const EWOULDBLOCK = 11;

// null = symbols of the running process, so glibc and musl both serve.
const self = koffi.load(null);
const flock = self.func('int flock(int fd, int operation)');
const lseek = self.func('int64_t lseek(int fd, int64_t offset, int whence)');
const fcntl = self.func('int fcntl(int fd, int command, ...)');
const exit = self.func('void _exit(int status)');
const fallocate = self.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');

/**
 * The next data region of a file of `size` bytes at or after `position` (bytes), as lseek(2)
 * reports it; `undefined` if only a hole remains. On a file system without holes: all the rest.
 */
export function seekData(
  fd: number,
  position: number,
  size: number,
): { start: number; end: number } | undefined {
  if (position >= size) return undefined;
  const start = Number(lseek(fd, position, SEEK_DATA));
  if (start < 0) {
    return koffi.errno() === ENXIO ? undefined : { start: position, end: size };
  }
  if (start >= size) return undefined;
  const end = Number(lseek(fd, start, SEEK_HOLE));
  return { start, end: end < 0 ? size : Math.min(end, size) };
}

/** Size of an open file in bytes, of a block device too, for which stat(2) says 0. */
export function seekEnd(fd: number): number {
  return Number(lseek(fd, 0, SEEK_END));
}

/** Another descriptor of the same open file, not inherited by children; -1 if none is left. */
export function duplicate(fd: number): number {
  return fcntl(fd, F_DUPFD_CLOEXEC, 'int', 0);
}

/**
 * Ends the process at once. Node's `process.exit` waits for reads in its thread pool, and a read that is
 * stuck in the kernel (a FIFO, a dead network mount) never ends.
 */
export function exitNow(code: number): never {
  exit(code);
  throw new Error('the process has ended');
}

/** Gives the blocks of a byte range back to the file system. False where it cannot punch holes. */
export function punchHole(fd: number, offset: number, length: number): boolean {
  return fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, length) === 0;
}

/**
 * Takes an exclusive flock(2) on an open file or folder, without waiting. It ends when that is closed, so with the
 * process at the latest. `unsupported` where the file system has no locks.
 */
export function tryLock(fd: number): 'locked' | 'busy' | 'unsupported' {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) return 'locked';
  return koffi.errno() === EWOULDBLOCK ? 'busy' : 'unsupported';
}
