#include "arena.h"

namespace arena {
namespace {

// Stands before each block. A block that is released below others is free when these are.
struct alignas(16) Header {
  Header* below;
  uint32_t is_free;
};
constexpr size_t kPage = 65536, kMostBytes = (size_t)1 << 31;

uintptr_t top, limit;
Header* last;
bool may_grow;

// Whether the memory reaches to `end`, after it has grown where it may.
bool reaches(uintptr_t end) {
  if (end <= limit) return true;
  if (!may_grow || end > kMostBytes) return false;
  const size_t pages = (end - limit + kPage - 1) / kPage, spare = limit / kPage / 4;  // fewer, larger steps
  if (__builtin_wasm_memory_grow(0, pages + spare) == (size_t)-1 &&
      __builtin_wasm_memory_grow(0, pages) == (size_t)-1)
    return false;
  limit = __builtin_wasm_memory_size(0) * kPage;
  return true;
}

}  // namespace

void open(uintptr_t begin, uintptr_t end, bool grows) {
  top = (begin + 15) & ~(uintptr_t)15;
  limit = end;
  last = nullptr;
  may_grow = grows;
}

void* allocate(size_t bytes) {
  if (bytes > kMostBytes) return nullptr;
  const uintptr_t end = top + sizeof(Header) + ((bytes + 15) & ~(size_t)15);
  if (!reaches(end)) return nullptr;
  Header* block = (Header*)top;
  *block = {last, 0};
  last = block;
  top = end;
  return block + 1;
}

void release(void* block) {
  ((Header*)block - 1)->is_free = 1;
  for (; last && last->is_free; last = last->below) top = (uintptr_t)last;
}

}  // namespace arena
