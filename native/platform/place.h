// Where helpers run. Linux may put a thread that it wakes where the one is that woke it, and takes milliseconds, as long as
// many a job, until it moves one of them away: after a pause of 20 ms a prompt on two threads took as long as on one. The two are
// to work at the same time, so a helper keeps off the processor that its caller is on.
#pragma once
#if defined(__linux__)
#include <sched.h>
#include <unistd.h>

namespace pool {

inline int processor() { return sched_getcpu(); }

// For the calling thread: any processor that the process may use, but this one.
inline void keep_off(int processor) {
  cpu_set_t all;
  if (processor < 0 || processor >= CPU_SETSIZE || sched_getaffinity(getpid(), sizeof all, &all) != 0) return;
  CPU_CLR(processor, &all);
  if (CPU_COUNT(&all) > 0) sched_setaffinity(0, sizeof all, &all);
}

}  // namespace pool
#else
namespace pool {
inline int processor() { return -1; }
inline void keep_off(int) {}
}  // namespace pool
#endif
