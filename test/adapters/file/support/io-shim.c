/*
 * LD_PRELOAD: traces syncs, renames and removals to the file IO_TRACE, and lets some of them fail.
 *
 * IO_FAIL="fdatasync 2 3" fails the second and the third fdatasync of the process with EIO, without doing them.
 * A line of the trace: the call, `ok` or `EIO`, the inode, and the path (as the file is called at that moment).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void trace(const char *call, const char *outcome, unsigned long inode, const char *path) {
  const char *file = getenv("IO_TRACE");
  if (file == NULL) return;
  char line[4400];
  int length = snprintf(line, sizeof line, "%s %s %lu %s\n", call, outcome, inode, path);
  int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (write(fd, line, length) != length) abort();
  close(fd);
}

static int fails(const char *call) {
  static int fdatasyncs = 0, fsyncs = 0;
  int number = __atomic_add_fetch(strcmp(call, "fsync") == 0 ? &fsyncs : &fdatasyncs, 1, __ATOMIC_SEQ_CST);
  const char *rule = getenv("IO_FAIL");
  size_t length = strlen(call);
  if (rule == NULL || strncmp(rule, call, length) != 0 || rule[length] != ' ') return 0;
  char *next = (char *)rule + length;
  for (;;) {
    char *end;
    long wanted = strtol(next, &end, 10);
    if (end == next) return 0;
    if (wanted == number) return 1;
    next = end;
  }
}

static int synced(const char *call, int fd) {
  char link[64], path[4097];
  struct stat there;
  unsigned long inode = fstat(fd, &there) == 0 ? there.st_ino : 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = '\0';
  if (fails(call)) {
    trace(call, "EIO", inode, path);
    errno = EIO;
    return -1;
  }
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
  int result = real(fd);
  trace(call, result == 0 ? "ok" : "failed", inode, path);
  return result;
}

int fdatasync(int fd) { return synced("fdatasync", fd); }
int fsync(int fd) { return synced("fsync", fd); }

int rename(const char *from, const char *to) {
  int (*real)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
  int result = real(from, to);
  if (result == 0) trace("rename", "ok", 0, to);
  return result;
}

int unlink(const char *path) {
  int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
  int result = real(path);
  if (result == 0) trace("unlink", "ok", 0, path);
  return result;
}
