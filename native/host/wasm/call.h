// A kernel as a function of WebAssembly: JavaScript writes the call's arguments into the slots of a frame, two numbers
// each, and the function checks the contract of operators.def and runs the kernel.
#pragma once
#include "../../kernels.h"
#include "../contract.h"
#include "arena.h"

namespace wasm {

// What a function returns. `report` has more: of a refused call the refusal, of a failed one the missing bytes.
enum Answer : int32_t { kDone, kRefused, kNoMemory };

// An argument. An array: its address and its length, −1 for null. Slabs: the address of a list of such pairs of 32-bit
// numbers, and how many these are. A number: itself, and nothing.
struct Slot {
  double value, length;
};

struct Report {
  binding::Refusal refusal;
  double missing;
};

// What a thread has for its calls. JavaScript says where it lies. lib/backend/wasm/space.ts knows these places.
struct Frame {
  Slot slots[binding::Arguments::kMost];
  Report report;
  arena::State arena;
};
static_assert(offsetof(Frame, report) == 384 && offsetof(Report, missing) == 32 && sizeof(Frame) <= 512);

// A global of the instance, and not in memory: threads have instances of their own on one memory. All else that is
// static in a module is constant.
extern Frame* __attribute__((address_space(1))) frame;

// Reads the slots. Lengths are true ones, as JavaScript takes them from the engine.
void read(const binding::Kind* kinds, size_t count, binding::Arguments& all);
Run make_run(volatile size_t* missing);

template <class... A> using Kernel = void (*)(const Run&, A...);

// A braced list is evaluated from left to right.
template <class... A> struct Invocation {
  Invocation(Kernel<A...> kernel, const Run& run, A... each) { kernel(run, each...); }
};

// The call's arena is [begin, end); where `grows`, the memory may grow behind it.
struct Arena {
  uintptr_t begin, end;
  bool grows;
};

template <class... A> int32_t call(Kernel<A...> kernel, binding::Contract holds, const Arena& place) {
  static constexpr auto kKinds = binding::joined(binding::Parameter<A>::kKinds...);
  static_assert(kKinds.size() <= binding::Arguments::kMost);
  binding::Arguments arguments;
  read(kKinds.data(), kKinds.size(), arguments);
  if (!holds(arguments, frame->report.refusal)) return kRefused;
  arena::open(place.begin, place.end, place.grows);
  volatile size_t missing = 0;
  binding::ArgumentReader reader{arguments};
  Invocation<A...>{kernel, make_run(&missing), binding::Parameter<A>::get(reader)...};
  frame->report.missing = (double)missing;
  return missing ? kNoMemory : kDone;
}

}  // namespace wasm
