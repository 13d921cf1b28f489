// The thread pool runs each index once, whatever other threads do: with many callers at a time, and while the number of
// threads changes.
#include "../../native/platform/pool.h"

#include <chrono>
#include <memory>
#include <thread>

#include "check.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace {

struct Work {
  std::unique_ptr<std::atomic<int>[]> times;
  size_t n;
  explicit Work(size_t n) : times(new std::atomic<int>[n]()), n(n) {}
  static void task(void* self, size_t i) { ((Work*)self)->times[i]++; }
  void check() const {
    for (size_t i = 0; i < n; i++) CHECK(times[i] == 1, "index %zu of %zu was worked on %d times", i, n, (int)times[i]);
  }
};

void many(size_t jobs, uint32_t seed) {
  Random random{seed};
  for (size_t j = 0; j < jobs; j++) {
    Work w(random.bits() % 50);
    pool::parallel(w.n, Work::task, &w);
    w.check();
  }
}

}  // namespace

TEST(pool_shares_work) {
  for (unsigned threads : {1u, 2u, 4u, 3u, 1u, 8u}) {
    pool::set_threads(threads);
    CHECK(pool::threads() == threads, "%u threads, not %u", pool::threads(), threads);
    many(2000 / thinning() + 10, threads);
  }
  pool::set_threads(0);
  CHECK(pool::threads() == 1, "%u threads for 0", pool::threads());
}

TEST(pool_with_many_callers) {
  pool::set_threads(3);
  std::vector<std::thread> callers;
  for (uint32_t i = 0; i < 4; i++) callers.emplace_back([i] { many(1000 / thinning() + 10, i); });
  for (uint32_t i = 0; i < 200 / thinning() + 10; i++) {
    pool::set_threads(1 + i % 4);
    std::this_thread::yield();
  }
  for (auto& each : callers) each.join();
  pool::set_threads(1);
}

TEST(pool_within_the_pool) {
  pool::set_threads(3);
  Work w(64);
  pool::parallel(
      64,
      [](void* self, size_t i) {
        Work inner(10);
        pool::parallel(10, Work::task, &inner);
        inner.check();
        Work::task(self, i);
      },
      &w);
  w.check();
  pool::set_threads(1);
}

// A worker that ends, or loads the package, does not wait for another thread's job, which may never end.
TEST(pool_lets_come_and_go_while_it_works) {
  pool::set_threads(3);
  pool::open();
  Work w(8);
  pool::parallel(
      8,
      [](void* self, size_t i) {
        auto open_and_close = [] {
          pool::open();
          pool::close();
        };
        std::thread(open_and_close).join();
        Work::task(self, i);
      },
      &w);
  w.check();

  pool::close();  // the last one
  struct Closed {
    std::thread::id caller = std::this_thread::get_id();
    static void task(void* self, size_t) {
      CHECK(std::this_thread::get_id() == ((Closed*)self)->caller, "a helper after the last close()");
    }
  } closed;
  pool::parallel(1000, Closed::task, &closed);
  pool::open();  // for the tests that follow
  pool::set_threads(1);
}

#if defined(__linux__)
// Without this, the system may give both threads one processor for the whole job.
TEST(pool_keeps_off_its_caller) {
  struct Meeting {
    std::thread::id caller = std::this_thread::get_id();
    std::atomic<int> there{0}, processors{0};
    static int allowed() {
      cpu_set_t set;
      return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
    }
    static void task(void* self, size_t) {
      Meeting& m = *(Meeting*)self;
      if (std::this_thread::get_id() != m.caller) m.processors = allowed();
      m.there++;
      for (auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
           m.there < 2 && std::chrono::steady_clock::now() < end;)
        std::this_thread::yield();
    }
  };
  pool::set_threads(2);
  int all = Meeting::allowed();
  for (int i = 0; i < 3; i++) {
    Meeting m;
    pool::parallel(2, Meeting::task, &m);
    CHECK(m.there == 2, "%d of 2 pieces", (int)m.there);
    CHECK(m.processors == (all > 1 ? all - 1 : all), "a helper may use %d processors of %d", (int)m.processors, all);
  }
  pool::set_threads(1);
}
#endif
