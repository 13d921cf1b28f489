// Memory of a kernel, released at the end of its scope. Where there is none, the pointer is null and the call stops
// (Run::missing). Kernels allocate before they write, so that a failed call has written nothing. Selection and sampling
// allocate for each row, and have then written earlier rows.
#pragma once
#include "run.h"

namespace {

static NEVER_INLINE void* memory_of(const Run& run, size_t bytes) {
  bytes += !bytes;
  void* memory = run.allocate(bytes);
  if (!memory) *run.missing = bytes;
  return memory;
}

template <class T> struct Buffer {
  const Run& run;
  T* data = nullptr;
  size_t size = 0, capacity = 0;

  explicit Buffer(const Run& r) : run(r) {}
  Buffer(const Run& r, size_t n) : run(r) { need(n); }
  Buffer(const Buffer&) = delete;
  ~Buffer() {
    if (data) run.release(data);
  }
  // Makes room for n items and keeps those that are there. Null: there is no memory.
  T* need(size_t n) { return data && n <= capacity ? data : grow(n); }
  // Drops the item if there is no memory.
  ALWAYS void push(const T& item) {
    if (size < capacity || need(size < 512 ? 1024 : 2 * size)) data[size++] = item;
  }

 private:
  NEVER_INLINE T* grow(size_t n) {
    size_t room = n < 2 * capacity ? 2 * capacity : n;
    T* larger = (T*)memory_of(run, room * sizeof(T));
    if (!larger) return nullptr;
    for (size_t i = 0; i < size; i++) larger[i] = data[i];
    if (data) run.release(data);
    return capacity = room, data = larger;
  }
};

// Memory for the sums of a long row's parts: the reserve, if it is large enough.
struct LongRow {
  const Run& run;
  char* data;

  LongRow(const Run& r, size_t bytes) : run(r) {
    data = (char*)(bytes <= r.reserve.bytes ? r.reserve.data : memory_of(r, bytes));
  }
  LongRow(const LongRow&) = delete;
  ~LongRow() {
    if (data && data != run.reserve.data) run.release(data);
  }
};

// A piece of memory for each thread, allocated before the first task runs. If there is not enough memory for all, the
// call runs on one thread with one piece.
class Pieces {
 public:
  Pieces(Run& r, size_t bytes, size_t tasks) : run(r), each(rounded(bytes)) {
    count = tasks < r.threads ? tasks : r.threads;
    memory = count > 1 ? (char*)r.allocate(size()) : nullptr;
    if (!memory) {
      if (count > 1) r.parallel = serial, r.threads = 1;
      count = 1, memory = (char*)memory_of(r, size());
    }
    for (size_t i = 0; memory && i < count; i++) memory[i] = 0;
  }
  Pieces(const Pieces&) = delete;
  ~Pieces() {
    if (memory) run.release(memory);
  }
  bool there() const { return memory != nullptr; }

  // A piece that a task holds, 64-byte aligned. Waits for one if the pool has grown since the call began.
  struct Taken {
    const Pieces& from;
    size_t i = 0;
    explicit Taken(const Pieces& p) : from(p) {
      while (exchange(from.memory + i, 1)) i = (i + 1) % from.count;
    }
    Taken(const Taken&) = delete;
    ~Taken() { exchange(from.memory + i, 0); }
    char* data() const { return from.first() + i * from.each; }
  };

 private:
  static size_t rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }
  // A byte for each piece, set while it is taken; then the pieces.
  size_t size() const { return rounded(count) + 64 + count * each; }
  char* first() const { return (char*)(((uintptr_t)memory + rounded(count) + 63) & ~(uintptr_t)63); }

  const Run& run;
  size_t count, each;
  char* memory;
};

}  // namespace
