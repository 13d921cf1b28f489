#include "arena.h"

#include "call.h"

namespace arena {

// Stands before each block. A block that is released below others is free when these are.
struct alignas(16) Header {
  Header* below;
  uint32_t is_free;
};

namespace {

constexpr size_t kPage = 65536, kMostBytes = (size_t)1 << 31;

State& here() { return wasm::frame->arena; }

// Whether the memory reaches to `end`, after it has grown where it may.
bool reaches(State& state, uintptr_t end) {
  if (end <= state.limit) return true;
  if (!state.may_grow || end > kMostBytes) return false;
  const size_t pages = (end - state.limit + kPage - 1) / kPage;
  const size_t spare = state.limit / kPage / 4;  // fewer, larger steps
  if (__builtin_wasm_memory_grow(0, pages + spare) == (size_t)-1 && __builtin_wasm_memory_grow(0, pages) == (size_t)-1)
    return false;
  state.limit = __builtin_wasm_memory_size(0) * kPage;
  return true;
}

}  // namespace

void open(uintptr_t begin, uintptr_t end, bool grows) { here() = {(begin + 15) & ~(uintptr_t)15, end, nullptr, grows}; }

void* allocate(size_t bytes) {
  if (bytes > kMostBytes) return nullptr;
  State& state = here();
  const uintptr_t end = state.top + sizeof(Header) + ((bytes + 15) & ~(size_t)15);
  if (!reaches(state, end)) return nullptr;
  Header* block = (Header*)state.top;
  *block = {state.last, 0};
  state.last = block;
  state.top = end;
  return block + 1;
}

void release(void* block) {
  State& state = here();
  ((Header*)block - 1)->is_free = 1;
  for (; state.last && state.last->is_free; state.last = state.last->below) state.top = (uintptr_t)state.last;
}

}  // namespace arena
