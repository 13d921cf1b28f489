// Stresses the thread pool, for sanitizers and for the end of processes:
//
//     stress callers     many threads share work while the number of threads changes and users come and go
//     stress exit        the process ends while threads work
//     stress fork        a child process has no helpers and starts its own
//     stress unload LIB  the library of the pool is unloaded while its helpers look for work
//     stress starved     memory or threads are missing: the threads that exist do the work
//
// The exit status is 0 if all went well. Tasks write and their caller reads without atomics, so that ThreadSanitizer
// reports a missing order in memory as a race.
#include "../../../native/platform/pool.h"

#include <dlfcn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace {

std::atomic<size_t> asked{0}, fails_at{0};  // allocations; the one that fails, 0: none

void* piece(size_t bytes, size_t alignment) {
  if (++asked == fails_at) throw std::bad_alloc();
  return alignment ? aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment) : malloc(bytes);
}

struct Work {
  std::vector<int> times;
  explicit Work(size_t n) : times(n) {}
  static void task(void* self, size_t i) { ((Work*)self)->times[i]++; }
  void check() const {
    for (int n : times)
      if (n != 1) {
        fprintf(stderr, "worked on %d times\n", n);
        _exit(1);
      }
  }
};

void job(size_t n) {
  Work w(n);
  pool::parallel(n, Work::task, &w);
  w.check();
}

void callers() {
  std::vector<std::thread> all;
  for (size_t k = 0; k < 4; k++)
    all.emplace_back([k] {
      pool::open();
      for (size_t i = 0; i < 3000; i++) {
        job((i * 7 + k) % 40);
        if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));  // helpers fall asleep
        if (i % 500 == 0) {
          pool::close();
          pool::open();
        }
      }
      pool::close();
    });
  for (unsigned i = 0; i < 300; i++) {
    pool::set_threads(1 + i % 5);
    std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  for (auto& t : all) t.join();
  for (unsigned n = 5; n-- > 0;) {
    pool::set_threads(n);
    job(1000);
  }
}

void end_at_work() {
  pool::set_threads(4);
  job(100);
  for (int k = 0; k < 2; k++)
    std::thread([] {
      for (;;) job(50);
    }).detach();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  exit(0);  // runs destructors while jobs run
}

void fork_child() {
  pool::set_threads(3);
  for (int i = 0; i < 20; i++) {
    job(100);
    pid_t child = fork();
    if (child == 0) {
      for (int k = 0; k < 100; k++) job(100);
      exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) exit(1);
  }
}

void unload(const char* path) {
  for (int i = 0; i < 20; i++) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
      fprintf(stderr, "%s\n", dlerror());
      exit(1);
    }
    auto set = (void (*)(unsigned))dlsym(library, "_ZN4pool11set_threadsEj");
    auto parallel = (void (*)(size_t, void (*)(void*, size_t), void*))dlsym(library, "_ZN4pool8parallelEmPFvPvmES0_");
    set(3);
    Work w(100);
    parallel(100, Work::task, &w);
    w.check();
    if (dlclose(library) || dlopen(path, RTLD_NOW | RTLD_NOLOAD)) {
      fprintf(stderr, "not unloaded\n");
      exit(1);
    }
  }
}

void expect_threads(bool holds) {
  if (holds) return;
  fprintf(stderr, "%u threads\n", pool::threads());
  _exit(1);
}
void starved() {
  // First the system has no room for a stack.
  long pages = 0;
  FILE* sizes = fopen("/proc/self/statm", "r");
  if (!sizes || fscanf(sizes, "%ld", &pages) != 1 || fclose(sizes)) exit(1);
  rlimit before, now;
  getrlimit(RLIMIT_AS, &before);
  now = before;
  now.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (1 << 20);
  pool::set_threads(4);
  setrlimit(RLIMIT_AS, &now);
  job(1000);
  setrlimit(RLIMIT_AS, &before);
  expect_threads(pool::threads() == 1);

  for (size_t n = 1;; n++) {
    pool::set_threads(1);
    job(2);  // ends the helpers
    pool::set_threads(4);
    Work w(1000);
    asked = 0;
    fails_at = n;
    pool::parallel(1000, Work::task, &w);
    fails_at = 0;
    w.check();
    if (asked < n) break;
    expect_threads(pool::threads() < 4);
    pool::set_threads(4);
    job(1000);
    expect_threads(pool::threads() == 4);
  }
}

}  // namespace

void* operator new(size_t bytes) { return piece(bytes, 0); }
void* operator new[](size_t bytes, std::align_val_t alignment) { return piece(bytes, (size_t)alignment); }

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : "";
  if (!strcmp(what, "callers")) callers();
  else if (!strcmp(what, "exit")) end_at_work();
  else if (!strcmp(what, "fork")) fork_child();
  else if (!strcmp(what, "unload") && count > 2) unload(arguments[2]);
  else if (!strcmp(what, "starved")) starved();
  else return 2;
}
