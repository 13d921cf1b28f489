// A kernel as a function of WebAssembly: JavaScript writes the call's arguments into `slots`, two numbers each, and the
// function checks the contract of operators.def and runs the kernel.
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

extern Slot slots[binding::Arguments::kMost];
extern Report report;

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
  if (!holds(arguments, report.refusal)) return kRefused;
  arena::open(place.begin, place.end, place.grows);
  volatile size_t missing = 0;
  binding::ArgumentReader reader{arguments};
  Invocation<A...>{kernel, make_run(&missing), binding::Parameter<A>::get(reader)...};
  report.missing = (double)missing;
  return missing ? kNoMemory : kDone;
}

}  // namespace wasm
