// Memory of a kernel that is given back at the end of its scope.
#pragma once
#include "../simd/inline.h"
#include "run.h"

namespace {

template <class T> struct Buffer {
  const Run& run;
  T* data = nullptr;
  size_t size = 0, capacity = 0;

  explicit Buffer(const Run& r) : run(r) {}
  Buffer(const Run& r, size_t n) : run(r) { need(n); }
  Buffer(const Buffer&) = delete;
  ~Buffer() { if (data) run.release(data); }
  // Room for n, what was there is kept.
  T* need(size_t n) {
    if (n <= capacity) return data;
    size_t room = n < 2 * capacity ? 2 * capacity : n;
    T* larger = (T*)run.allocate(room * sizeof(T));
    for (size_t i = 0; i < size; i++) larger[i] = data[i];
    if (data) run.release(data);
    return capacity = room, data = larger;
  }
  ALWAYS void push(const T& item) {
    if (size == capacity) need(size < 512 ? 1024 : 2 * size);
    data[size++] = item;
  }
};

}  // namespace
