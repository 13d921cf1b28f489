// Keeps a helper off its caller's processor. Linux may wake a thread on the processor of the thread that woke it, and
// takes milliseconds to move one of them: after a pause of 20 ms, a prompt on two threads took as long as on one.
#pragma once
#if defined(__linux__)
#include <sched.h>
#include <unistd.h>

namespace pool {

inline int processor() { return sched_getcpu(); }

// Lets the calling thread run on any processor of the process but this one.
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
