// Memory of a call: a stack of blocks behind the call's arrays. JavaScript says where it begins and where it must end,
// and forgets all of it after the call.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace arena {

// The arena is [begin, end). Where `grows`, the memory grows if that is not enough.
void open(uintptr_t begin, uintptr_t end, bool grows);
void* allocate(size_t bytes);  // aligned to 16 bytes; null: no memory
void release(void* block);

}  // namespace arena
