// What a kernel is given besides its data: how to share work among threads, when to stop, what the plan says.
// Plain functions and numbers: kernels know nothing of the pool, of JavaScript, or of the C++ library.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "../simd/inline.h"
#include "parameters.h"

struct Plan {
  size_t two_pass_bytes;   // rows of at least this many bytes are read twice instead of stored and scaled
  size_t stream_bytes;     // outputs of at least this many bytes bypass the caches
  size_t parallel_bytes;   // inputs of at least this many bytes are shared among threads
};

// Memory that a caller has set aside for a kernel.
struct Reserve {
  void* data;
  size_t bytes;
};

struct Run {
  Plan plan;
  const volatile int32_t* stop;  // not zero: stop at the next block, the output is abandoned
  volatile size_t* missing;      // bytes of memory that were asked for and not there; not zero: stop, as above
  // Calls task(context, i) for every i < count, on up to `threads` threads, and returns when all are done.
  void (*parallel)(size_t count, void (*task)(void*, size_t), void* context);
  unsigned threads;
  void* (*allocate)(size_t bytes);  // aligned for any type, null if there is none; kernels get memory through buffer.h
  void (*release)(void*);
  Reserve reserve;                  // what a long row needs, if a kernel calls another; used by one row at a time

  FORCED bool stopped() const { return *stop != 0 || *missing != 0; }
};

static inline void serial(size_t count, void (*task)(void*, size_t), void* context) {
  for (size_t i = 0; i < count; i++) task(context, i);
}

// How a row is cut, however many threads take part: into blocks, which are summed each on an exponent of its own, and into
// parts, which threads share. Sums are merged in the order of the parts.
constexpr size_t kBlock = 65536;
constexpr size_t kSuper = 4 * kBlock;
