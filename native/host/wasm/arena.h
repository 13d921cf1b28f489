// Memory of a call: a stack of blocks behind the call's arrays. JavaScript says where it begins and where it must end,
// and forgets all of it after the call.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace arena {

struct Header;

// The arena of a thread: its next block, its end, its last block, and whether the memory may grow behind it.
struct State {
  uintptr_t top, limit;
  Header* last;
  bool may_grow;
};

// The arena is [begin, end). Where `grows`, the memory grows if that is not enough.
void open(uintptr_t begin, uintptr_t end, bool grows);
void* allocate(size_t bytes);  // aligned to 16 bytes; null: no memory
void release(void* block);

}  // namespace arena
