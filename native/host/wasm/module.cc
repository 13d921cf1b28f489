// What JavaScript finds in each module besides its kernels: how to say where arguments and reports stand.
#include "call.h"

#define EXPORT(name) extern "C" __attribute__((export_name(name), visibility("default")))

namespace wasm {

Frame* __attribute__((address_space(1))) frame;

void read(const binding::Kind* kinds, size_t count, binding::Arguments& all) {
  size_t all_slabs = 0;
  for (size_t i = 0; i < count; i++) {
    const Slot& from = frame->slots[i];
    binding::Arguments::Slot& to = all.slots[i];
    switch (kinds[i].form) {
      case binding::Form::kArray:
        to.array = {(void*)(uintptr_t)from.value, from.length < 0 ? 0 : (size_t)from.length, from.length < 0};
        break;
      case binding::Form::kSlabs: {
        binding::SlabList& slabs = all.slabs[to.size = all_slabs++];
        const uint32_t* list = (const uint32_t*)(uintptr_t)from.value;
        slabs.type = kinds[i].type;
        slabs.count = (size_t)from.length;
        for (size_t k = 0; k < slabs.count; k++) slabs.data[k] = (void*)list[2 * k], slabs.length[k] = list[2 * k + 1];
        break;
      }
      // No array has 2^32 - 1 elements here, so that a larger size is like this one.
      case binding::Form::kSize: to.size = from.value < 4294967295.0 ? (size_t)from.value : 4294967295u; break;
      default: to.number = from.value;
    }
  }
}

Run make_run(volatile size_t* missing) {
  static const volatile int32_t never = 0;
  constexpr size_t kNever = (size_t)-1;
  return {{kNever, kNever, kNever}, &never, missing, serial, 1, arena::allocate, arena::release, {nullptr, 0}};
}

}  // namespace wasm

EXPORT("enter") void enter(wasm::Frame* frame) { wasm::frame = frame; }
