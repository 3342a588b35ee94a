/*
 * An LD_PRELOAD library that fails the n-th system call of a kind, or kills the process at the n-th call of any kind.
 *
 * Only calls on paths below a folder, and on descriptors opened there, count, so that files of Node
 * itself do not. libuv calls the wrappers of libc, in its threads too; UV_USE_IO_URING=0
 * keeps it from bypassing them. Child processes do not inherit the library: their failures are not ours.
 *
 * The process arms it through the functions that begin with faults_ (koffi finds them as symbols of the
 * process); FAULTS_ROOT and FAULTS_KILL arm it at the start. Only some calls change what is on disk, and a process that is
 * killed between two of them leaves the same as at the next one: FAULTS_KILL_CHANGES counts those alone. FAULTS_CPU
 * confines the process to one processor, so that several of them run side by side with few threads each.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, READ, WRITE, FSYNC, TRUNCATE, RENAME, MKDIR, LINK, UNLINK, LIST, STAT, KINDS };

/* Higher descriptors are not followed. */
#define MAX_FD 65536

static char root[4096];
static size_t root_length;
static atomic_uchar followed[MAX_FD];
static atomic_int counts[KINDS];
static atomic_int steps;
static atomic_int changes;
static atomic_int armed_kind = -1;
static atomic_int armed_nth;
static atomic_int armed_errno;
static atomic_int armed_sticky;
static atomic_int armed_kill;
static int kill_at_changes;
static char hit[4096];
static atomic_int hits;

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) {
  return root_length > 0 && path != NULL && strncmp(path, root, root_length) == 0 &&
         (path[root_length] == '/' || path[root_length] == 0);
}

static int is_followed(int fd) { return fd >= 0 && fd < MAX_FD && followed[fd]; }

static int follow(int fd, const char *path) {
  if (fd >= 0 && fd < MAX_FD) followed[fd] = (unsigned char)below(path);
  return fd;
}

static int is_change(enum kind kind, int flags) {
  switch (kind) {
    case OPEN: return (flags & (O_CREAT | O_TRUNC)) != 0;
    case WRITE: case TRUNCATE: case RENAME: case MKDIR: case LINK: case UNLINK: return 1;
    default: return 0;
  }
}

/* Counts a call; returns nonzero, with errno set, if it must fail. */
static int fails_with(enum kind kind, const char *path, int flags) {
  int step = ++steps;
  int count = ++counts[kind];
  if (is_change(kind, flags)) {
    int change = ++changes;
    if (kill_at_changes) step = change;
  } else if (kill_at_changes) step = 0;
  if (armed_kill > 0 && step == armed_kill) kill(getpid(), SIGKILL);
  if (kind != (enum kind)armed_kind) return 0;
  if (armed_sticky ? count < armed_nth : count != armed_nth) return 0;
  if (hits++ == 0) snprintf(hit, sizeof hit, "%s", path);
  errno = armed_errno;
  return 1;
}

static int fails(enum kind kind, const char *path) { return fails_with(kind, path, 0); }

static int fails_fd(enum kind kind, int fd) {
  char link[64], path[4096];
  ssize_t length;
  if (!is_followed(fd)) return 0;
  path[0] = 0;
  if (kind == (enum kind)armed_kind && hits == 0) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
  }
  return fails(kind, path);
}

static int fails_path(enum kind kind, const char *path) { return below(path) && fails(kind, path); }

/* Called by the process itself. */

void faults_root(const char *path) {
  root_length = 0;
  snprintf(root, sizeof root, "%s", path);
  root_length = strlen(root);
}

/* kind -1: nothing fails. Resets the counts. */
void faults_arm(int kind, int nth, int error, int sticky) {
  armed_kind = -1;
  for (int i = 0; i < KINDS; i++) counts[i] = 0;
  steps = 0;
  changes = 0;
  hits = 0;
  hit[0] = 0;
  armed_nth = nth;
  armed_errno = error;
  armed_sticky = sticky;
  armed_kind = kind;
}

int faults_count(int kind) { return kind < 0 ? steps : counts[kind]; }
int faults_changes(void) { return changes; }
int faults_hits(void) { return hits; }
const char *faults_hit(void) { return hit; }

/* Of the processors that the process may use, the n-th. */
static void confine(int n) {
  cpu_set_t all, one;
  if (sched_getaffinity(0, sizeof all, &all) != 0) return;
  n %= CPU_COUNT(&all);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &all) || n-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    return;
  }
}

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("FAULTS_ROOT"), *step = getenv("FAULTS_KILL"), *cpu = getenv("FAULTS_CPU");
  if (cpu) confine(atoi(cpu));
  kill_at_changes = getenv("FAULTS_KILL_CHANGES") != NULL;
  unsetenv("LD_PRELOAD");
  if (step) armed_kill = atoi(step);
  if (path) faults_root(path);
}

/* The wrapped calls. */

static mode_t mode_of(int flags, va_list list) {
  return flags & (O_CREAT | __O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

#define OPENER(name, parameters, path, ...)          \
  int name parameters {                              \
    va_list list;                                    \
    va_start(list, flags);                           \
    mode_t mode = mode_of(flags, list);              \
    va_end(list);                                    \
    if (below(path) && fails_with(OPEN, path, flags)) return -1;           \
    return follow(NEXT(name)(__VA_ARGS__, mode), path); \
  }
OPENER(open, (const char *path, int flags, ...), path, path, flags)
OPENER(open64, (const char *path, int flags, ...), path, path, flags)
OPENER(openat, (int at, const char *path, int flags, ...), path, at, path, flags)
OPENER(openat64, (int at, const char *path, int flags, ...), path, at, path, flags)

int close(int fd) {
  if (fd >= 0 && fd < MAX_FD) followed[fd] = 0;
  return NEXT(close)(fd);
}

#define ON_FD(kind, type, name, parameters, ...)  \
  type name parameters {                          \
    if (fails_fd(kind, fd)) return -1;            \
    return NEXT(name)(__VA_ARGS__);               \
  }
ON_FD(READ, ssize_t, read, (int fd, void *buffer, size_t n), fd, buffer, n)
ON_FD(READ, ssize_t, pread64, (int fd, void *buffer, size_t n, off64_t at), fd, buffer, n, at)
ON_FD(READ, ssize_t, readv, (int fd, const struct iovec *v, int n), fd, v, n)
ON_FD(WRITE, ssize_t, write, (int fd, const void *buffer, size_t n), fd, buffer, n)
ON_FD(WRITE, ssize_t, pwrite64, (int fd, const void *buffer, size_t n, off64_t at), fd, buffer, n, at)
ON_FD(WRITE, ssize_t, writev, (int fd, const struct iovec *v, int n), fd, v, n)
ON_FD(FSYNC, int, fsync, (int fd), fd)
ON_FD(FSYNC, int, fdatasync, (int fd), fd)
ON_FD(TRUNCATE, int, ftruncate64, (int fd, off64_t length), fd, length)

#define ON_PATH(kind, type, failed, name, parameters, path, ...) \
  type name parameters {                                         \
    if (fails_path(kind, path)) return failed;                   \
    return NEXT(name)(__VA_ARGS__);                              \
  }
ON_PATH(RENAME, int, -1, rename, (const char *from, const char *to), to, from, to)
ON_PATH(MKDIR, int, -1, mkdir, (const char *path, mode_t mode), path, path, mode)
ON_PATH(MKDIR, char *, NULL, mkdtemp, (char *path), path, path)
ON_PATH(LINK, int, -1, link, (const char *from, const char *to), to, from, to)
ON_PATH(LINK, int, -1, symlink, (const char *from, const char *to), to, from, to)
ON_PATH(UNLINK, int, -1, unlink, (const char *path), path, path)
ON_PATH(UNLINK, int, -1, rmdir, (const char *path), path, path)
ON_PATH(UNLINK, int, -1, unlinkat, (int at, const char *path, int flags), path, at, path, flags)
ON_PATH(LIST, DIR *, NULL, opendir, (const char *path), path, path)
ON_PATH(LIST, int, -1, scandir64,
        (const char *path, struct dirent64 ***list, int (*filter)(const struct dirent64 *),
         int (*compare)(const struct dirent64 **, const struct dirent64 **)),
        path, path, list, filter, compare)
ON_PATH(LINK, int, -1, linkat, (int from_at, const char *from, int at, const char *to, int flags), to,
        from_at, from, at, to, flags)

/* libuv's stat(2) is statx(2), by number, and so is its close(2). Integers are passed the same way with and without `...`. */
long syscall(long number, ...) {
  long a[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_close && a[0] >= 0 && a[0] < MAX_FD) followed[a[0]] = 0;
  if (number == SYS_statx && a[1] != 0) {
    const char *path = (const char *)a[1];
    if (*path == 0 ? fails_fd(STAT, (int)a[0]) : fails_path(STAT, path)) return -1;
  }
  return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
