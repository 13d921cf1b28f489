#include "pool.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "place.h"
#include "thread.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("isb")
#else
#define PAUSE() ((void)0)
#endif
#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace pool {
namespace {

using Clock = std::chrono::steady_clock;

// A sleeping thread wakes in some 30 microseconds, as long as a softmax of 100,000 logits takes. So a helper polls for
// the next job a little longer than that before it sleeps. The two passes over a row are two jobs.
constexpr auto kPatience = std::chrono::microseconds(100);

// Polls a condition for a while. Returns whether it holds.
template <class Condition> bool soon(Condition holds) {
  if (holds()) return true;
  for (auto end = Clock::now() + kPatience; Clock::now() < end;)
    for (int i = 0; i < 16; i++) {
      PAUSE();
      if (holds()) return true;
    }
  return false;
}

// The tasks that one thread begins with. A thread that finishes early steals from the others.
struct alignas(64) Share {
  std::atomic<size_t> next{0};
  size_t end = 0;
};

struct Job {
  void (*task)(void*, size_t);
  void* context;
  Share* shares;
  size_t count;

  void work(size_t own) {
    for (size_t k = 0; k < count; k++) {
      Share& s = shares[(own + k) % count];
      for (size_t i; (i = s.next.fetch_add(1, std::memory_order_relaxed)) < s.end;) task(context, i);
    }
  }
};

// Exclusive use of the pool. Not a std::mutex: a task may try to lock what its own caller holds. Do not block on it:
// each busy caller locks it again for its next job, so that a waiter can starve.
struct Turn {
  std::atomic<bool> taken{false};

  bool try_lock() { return !taken.exchange(true, std::memory_order_acquire); }
  void lock() {
    while (!try_lock()) std::this_thread::yield();
  }
  void unlock() { taken.store(false, std::memory_order_release); }
};

struct Pool {
  std::atomic<unsigned> wanted{0};  // threads; 0: no number has been set
  std::atomic<bool> closed{false};
  std::mutex door;  // guards open() and close()
  unsigned users = 0;
  Turn turn;
  std::vector<Thread> helpers;  // belongs to the holder of `turn`
  std::unique_ptr<Share[]> shares;
  size_t shares_made = 0;

  std::mutex lock;  // guards `job` and the decision to sleep
  Condition wake;
  const Job* job = nullptr;
  int caller = -1;                 // the processor of the job's caller
  std::atomic<unsigned> round{0};  // increases with each job
  std::atomic<bool> ending{false};
  std::atomic<unsigned> inside{0};  // helpers that may still touch the job

  void help(size_t own, unsigned seen) {
    auto news = [&] { return round.load(std::memory_order_relaxed) != seen || ending.load(std::memory_order_relaxed); };
    for (int off = -1;;) {
      soon(news);
      Job mine;
      {
        std::unique_lock<std::mutex> hold(lock);
        wake.wait(hold, news);
        if (off != caller) {
          off = caller;
          hold.unlock();
          keep_off(off);
          hold.lock();
        }
        if (ending) return;
        seen = round;
        if (!job) continue;  // another thread has finished it
        mine = *job;
        inside.fetch_add(1, std::memory_order_relaxed);
      }
      mine.work(own);
      inside.fetch_sub(1, std::memory_order_release);
    }
  }

  void post(const Job* j) {
    std::lock_guard<std::mutex> hold(lock);
    job = j;
    if (!j) return;
    caller = processor();
    round.fetch_add(1, std::memory_order_relaxed);
  }

  bool sharing() const { return wanted > 1 && !closed; }

  // Only the holder of `turn` calls the following.
  void run(size_t count, void (*task)(void*, size_t), void* context) {
    adjust();
    size_t threads = helpers.size() + 1;
    if (threads == 1) {
      for (size_t i = 0; i < count; i++) task(context, i);
      return;
    }
    for (size_t k = 0; k < threads; k++) {
      shares[k].next.store(count * k / threads, std::memory_order_relaxed);
      shares[k].end = count * (k + 1) / threads;
    }
    Job j = {task, context, shares.get(), threads};
    post(&j);
    wake.notify_all();
    j.work(0);
    post(nullptr);  // helpers that have not joined yet stay away
    auto alone = [&] { return inside.load(std::memory_order_acquire) == 0; };
    while (!soon(alone)) std::this_thread::yield();
  }

  // Starts as many helpers as are wanted. If the system grants fewer, fewer are wanted until a number is set again.
  // Throws nothing, as kernels are compiled without unwind tables.
  void adjust() {
    unsigned threads = sharing() ? wanted.load() : 1;
    if (helpers.size() + 1 > threads) end();
    try {
      if (threads > 1 && shares_made < threads) shares.reset(new Share[threads]), shares_made = threads;
      while (helpers.size() + 1 < threads) {
        helpers.emplace_back([this, own = helpers.size() + 1, seen = round.load()] { help(own, seen); });
      }
    } catch (const std::exception&) { wanted.compare_exchange_strong(threads, (unsigned)helpers.size() + 1); }
  }

  void end() {
    {
      std::lock_guard<std::mutex> hold(lock);
      ending = true;
    }
    wake.notify_all();
    for (auto& t : helpers) t.join();
    helpers.clear();
    ending = false;
  }

  // Any thread may call it. No job begins from here on, so it waits for one job at most.
  void shut() {
    closed = true;
    std::lock_guard<Turn> mine(turn);
    adjust();
  }
};

// Never destroyed, as threads may still use it while the process ends.
alignas(Pool) unsigned char memory[sizeof(Pool)];
Pool* const pool = new (memory) Pool;

#if !defined(_WIN32)  // on Windows, threads end before destructors run, some while they hold a lock
struct AtExit {
  ~AtExit() { pool->shut(); }
} at_exit;

// The child of a fork has none of its parent's helpers, and may have inherited locked locks.
const int at_fork = pthread_atfork(nullptr, nullptr, [] {
  unsigned wanted = pool->wanted, users = pool->users;
  bool closed = pool->closed;
  new (memory) Pool;
  pool->wanted = wanted, pool->users = users, pool->closed = closed;
});
#endif

}  // namespace

void open() {
  std::lock_guard<std::mutex> alone(pool->door);
  pool->users++;
  pool->closed = false;
}

void close() {
  std::lock_guard<std::mutex> alone(pool->door);
  if (--pool->users == 0) pool->shut();
}

unsigned threads() {
  unsigned n = pool->wanted;
  return n ? n : 1;
}

void set_threads(unsigned n) {
  pool->wanted = n ? n : 1;
  std::unique_lock<Turn> mine(pool->turn, std::try_to_lock);
  if (mine && pool->helpers.size() >= pool->wanted) pool->adjust();  // otherwise the next job adjusts it
}

void suggest_threads(unsigned n) {
  unsigned none = 0;
  pool->wanted.compare_exchange_strong(none, n ? n : 1);
}

void parallel(size_t count, void (*task)(void*, size_t), void* context) {
  if (count > 1 && pool->sharing()) {
    std::unique_lock<Turn> mine(pool->turn, std::try_to_lock);
    if (mine) return pool->run(count, task, context);
  }
  for (size_t i = 0; i < count; i++) task(context, i);
}

}  // namespace pool
