// The instruction sets that this machine can run, best first, each with its kernels and its exp core.
#pragma once
#include <cstring>
#include <vector>

#include "../../native/platform/cpu.h"
#include "check.h"
#include "core/core.h"

struct Isa {
  const char* name;
  const Kernels* kernels;
  const Core* core;
};

inline const std::vector<Isa>& isas() {
  static const std::vector<Isa> all = [] {
    std::vector<Isa> found;
#if defined(__x86_64__) || defined(_M_X64)
    const Core* cores[] = {&core_avx512, &core_avx2, &core_scalar};
#elif defined(__aarch64__) || defined(_M_ARM64)
    const Core* cores[] = {&core_neon, &core_scalar};
#else
    const Core* cores[] = {&core_scalar};
#endif
    for (auto* k = machine().usable; *k; k++)
      for (auto* c : cores)
        if (!strcmp((*k)->isa, c->isa)) found.push_back({c->isa, *k, c});
    return found;
  }();
  return all;
}

// The scalar reference is the last instruction set, and many times as slow as the others.
inline bool slow(const Isa& isa) { return !strcmp(isa.name, "scalar"); }
