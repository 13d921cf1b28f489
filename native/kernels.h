// The kernels of one instruction set as a table of functions, stamped from kernels.def.
#pragma once
#include "kernels/run.h"

struct Kernels {
  const char* isa;
#define KERNEL(name, ...) void (*name)(const Run&, __VA_ARGS__);
#include "kernels.def"
#undef KERNEL
};

// The tables that this build has for its processor family; which of them may run: cpu/cpu.h. Prebuilt binaries are built
// WITHOUT_SCALAR: nobody would run it there, as JavaScript is faster.
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels kernels_avx512, kernels_avx2;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernels kernels_neon;
#endif
#if !defined(WITHOUT_SCALAR)
extern const Kernels kernels_scalar;
#endif
