// What a kernel is given besides its data: how to share work among threads, when to stop, what the plan says.
// Plain functions and numbers: kernels know nothing of the pool, of JavaScript, or of the C++ library.
#pragma once
#include <stddef.h>
#include <stdint.h>

// An optional array whose length says how it is meant: data is null where it was not given.
template <class T> struct Slice {
  T* data;
  size_t length;
};

// Pieces of one store, which grew as it was filled.
template <class T> struct Slabs {
  static constexpr size_t kMost = 64;
  T* data[kMost];
  size_t length[kMost];
  size_t count;
};

struct Plan {
  size_t two_pass_bytes;   // rows of at least this many bytes are read twice instead of stored and scaled
  size_t stream_bytes;     // outputs of at least this many bytes bypass the caches
  size_t parallel_bytes;   // inputs of at least this many bytes are shared among threads
};

struct Run {
  Plan plan;
  const volatile int32_t* stop;  // not zero: stop at the next block, the output is abandoned
  // Calls task(context, i) for every i < count, on up to `threads` threads, and returns when all are done.
  void (*parallel)(size_t count, void (*task)(void*, size_t), void* context);
  unsigned threads;
  void* (*allocate)(size_t bytes);  // aligned for any type; kernels need memory only for what grows with a row
  void (*release)(void*);

  bool stopped() const { return *stop != 0; }
};

static inline void serial(size_t count, void (*task)(void*, size_t), void* context) {
  for (size_t i = 0; i < count; i++) task(context, i);
}
