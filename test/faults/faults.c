// A library to preload: calls of the system fail on purpose. The program controls it by the environment variable FAULT,
// which is read at each call:
//
//     FAULT = 'write 3 28'       the third write from now on fails with error 28 (ENOSPC); 0: half of it is written
//     FAULT = 'pthread_create'   no thread can be started
//     FAULT_FOLDER               only files in this folder count
//
// Calls of files are open, write, fsync, fchmod and rename. FAULT_HIT is set to 1 by the call that fails.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int in_folder(const char* path) {
  const char* folder = getenv("FAULT_FOLDER");
  return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_ours(int file) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return in_folder(path);
}

// Returns the error with which this call shall fail; -1: none.
static int fault(const char* call) {
  static int seen = 0;
  const char* text = getenv("FAULT");
  char name[32];
  int at = 0, error = 0;
  if (!text || sscanf(text, "%31s %d %d", name, &at, &error) != 3 || strcmp(name, call) != 0) return -1;
  if (++seen != at) return -1;
  setenv("FAULT_HIT", "1", 1);
  return error;
}

static int fails(int error) {
  if (error <= 0) return 0;
  errno = error;
  return 1;
}

static int open_at(const char* path, int flags, mode_t mode) {
  if ((flags & O_ACCMODE) != O_RDONLY && in_folder(path) && fails(fault("open"))) return -1;
  return REAL(open64)(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_at(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_at(path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t length) {
  int error = is_ours(file) ? fault("write") : -1;
  if (fails(error)) return -1;
  return REAL(write)(file, bytes, error == 0 ? (length + 1) / 2 : length);
}

int fsync(int file) { return is_ours(file) && fails(fault("fsync")) ? -1 : REAL(fsync)(file); }
int fchmod(int file, mode_t mode) { return is_ours(file) && fails(fault("fchmod")) ? -1 : REAL(fchmod)(file, mode); }
int rename(const char* from, const char* to) {
  return in_folder(to) && fails(fault("rename")) ? -1 : REAL(rename)(from, to);
}

int pthread_create(pthread_t* id, const pthread_attr_t* how, void* (*run)(void*), void* with) {
  const char* text = getenv("FAULT");
  if (text && strcmp(text, "pthread_create") == 0) return EAGAIN;
  return REAL(pthread_create)(id, how, run, with);
}
