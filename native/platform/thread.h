// The parts of std::thread and std::condition_variable that the pool uses. On Linux they are pthreads of the oldest
// version: g++ 12 with glibc 2.36 binds the standard ones to GLIBC_2.34 and GLIBCXX_3.4.30, and such a binary would not
// load on glibc 2.28, Node's own minimum.
#pragma once
#include <mutex>

#if defined(__linux__)
#include <pthread.h>

#include <memory>
#include <system_error>
#include <utility>

// glibc 2.34 gave these a new version and keeps the old one. musl has no versions.
#if defined(__GLIBC__)
#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define OLDEST "GLIBC_2.17"
#endif
#endif
#if defined(OLDEST)
__asm__(".symver pthread_create, pthread_create@" OLDEST);
__asm__(".symver pthread_join, pthread_join@" OLDEST);
__asm__(".symver pthread_mutex_trylock, pthread_mutex_trylock@" OLDEST);
#undef OLDEST
#endif

namespace pool {

class Thread {
 public:
  template <class Body> explicit Thread(Body body) {
    std::unique_ptr<Body> mine(new Body(std::move(body)));
    int error = pthread_create(&id_, nullptr, run<Body>, mine.get());
    if (error) throw std::system_error(error, std::generic_category());
    mine.release();  // the thread owns it now
  }
  Thread(Thread&&) noexcept = default;
  void join() { pthread_join(id_, nullptr); }

 private:
  template <class Body> static void* run(void* body) {
    std::unique_ptr<Body> mine((Body*)body);
    (*mine)();
    return nullptr;
  }
  pthread_t id_;
};

class Condition {
 public:
  ~Condition() { pthread_cond_destroy(&condition_); }
  template <class Predicate> void wait(std::unique_lock<std::mutex>& hold, Predicate ready) {
    while (!ready()) pthread_cond_wait(&condition_, hold.mutex()->native_handle());
  }
  void notify_all() { pthread_cond_broadcast(&condition_); }

 private:
  pthread_cond_t condition_ = PTHREAD_COND_INITIALIZER;
};

}  // namespace pool
#else
#include <condition_variable>
#include <thread>

namespace pool {
using Thread = std::thread;
using Condition = std::condition_variable;
}  // namespace pool
#endif
