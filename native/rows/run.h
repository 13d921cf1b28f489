// The surroundings of a kernel: how it shares work, when it stops, where memory comes from, which plan holds. All are
// plain functions and numbers, so that kernels know nothing of the pool, of JavaScript, or of the C++ library.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "../simd/inline.h"
#include "parameters.h"

struct Plan {
  size_t two_pass_bytes;  // rows of at least this many bytes are read twice instead of stored and scaled
  size_t stream_bytes;    // outputs of at least this many bytes bypass the caches
  size_t parallel_bytes;  // inputs of at least this many bytes are shared among threads
};

// Memory that a caller sets aside for a kernel.
struct Reserve {
  void* data;
  size_t bytes;
};

struct Run {
  Plan plan;
  const volatile int32_t* stop;  // not 0: stop at the next block; the output is abandoned
  volatile size_t* missing;      // bytes of a failed allocation; not 0: stop as above
  // Calls task(context, i) for each i < count, on at most `threads` threads. Returns when all have returned.
  void (*parallel)(size_t count, void (*task)(void*, size_t), void* context);
  unsigned threads;
  void* (*allocate)(size_t bytes);  // null: no memory. Kernels allocate through buffer.h
  void (*release)(void*);
  Reserve reserve;              // for a long row of a kernel that another kernel calls; one row uses it at a time
  bool has_fused_dots = false;  // the processor has AVX-512 VNNI, which decides about speed only

  FORCED bool stopped() const { return *stop != 0 || *missing != 0; }
};

static inline void serial(size_t count, void (*task)(void*, size_t), void* context) {
  for (size_t i = 0; i < count; i++) task(context, i);
}

// A row is cut in the same way for any number of threads: into blocks, each summed on its own exponent, and into parts,
// which threads share. Sums are merged in the order of the parts. A part is one block: two threads then share a row of
// 128,256 evenly, and it costs one thread nothing.
constexpr size_t kBlock = 65536;
constexpr size_t kSuper = kBlock;

// Elements up to which the logarithmic operators sum float rows in double, which is as fast there.
constexpr size_t kShortRow = 128;
