#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() std::this_thread::yield()
#endif

namespace pool {
namespace {

// Waking a thread that sleeps takes tens of microseconds, as long as a softmax of 200,000 logits: a helper looks for
// the next job for about that long before it sleeps.
constexpr int kLooks = 2000;

struct Job {
  size_t count;
  void (*task)(void*, size_t);
  void* context;
  std::atomic<size_t> next{0};

  void work() {
    for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(context, i);
  }
};

struct Pool {
  std::mutex turn;  // one job at a time
  std::mutex lock;
  std::condition_variable wake;
  std::atomic<unsigned> round{0};   // a new number is a new job
  std::atomic<unsigned> inside{0};  // helpers that may still touch the job
  std::atomic<bool> ending{false};
  Job* job = nullptr;
  std::vector<std::thread> helpers;
  std::atomic<unsigned> wanted{1};

  void help(unsigned seen) {
    for (;;) {
      for (int i = 0; i < kLooks && round.load(std::memory_order_acquire) == seen && !ending; i++) PAUSE();
      Job* mine;
      {
        std::unique_lock<std::mutex> hold(lock);
        wake.wait(hold, [&] { return round.load(std::memory_order_relaxed) != seen || ending; });
        if (ending) return;
        seen = round;
        mine = job;
        if (mine) inside++;
      }
      if (!mine) continue;
      mine->work();
      inside.fetch_sub(1, std::memory_order_release);
    }
  }
  void post(Job* j) {
    std::lock_guard<std::mutex> hold(lock);
    job = j;
    if (j) round.fetch_add(1, std::memory_order_release);
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
  ~Pool() { end(); }
};

Pool& the() {
  static Pool p;
  return p;
}

}  // namespace

void set_threads(unsigned n) {
  Pool& p = the();
  std::lock_guard<std::mutex> mine(p.turn);
  p.wanted = n < 1 ? 1 : n;
  if (p.helpers.size() + 1 > p.wanted) p.end();  // the right number starts with the next job
}

unsigned threads() { return the().wanted; }

void parallel(size_t count, void (*task)(void*, size_t), void* context) {
  Pool& p = the();
  std::unique_lock<std::mutex> mine(p.turn, std::defer_lock);
  if (count < 2 || p.wanted < 2 || !mine.try_lock()) {
    for (size_t i = 0; i < count; i++) task(context, i);
    return;
  }
  while (p.helpers.size() + 1 < p.wanted) p.helpers.emplace_back([&p, seen = p.round.load()] { p.help(seen); });
  Job job;
  job.count = count, job.task = task, job.context = context;
  p.post(&job);
  p.wake.notify_all();
  job.work();
  p.post(nullptr);  // who has not come by now need not come
  while (p.inside.load(std::memory_order_acquire)) PAUSE();
}

}  // namespace pool
