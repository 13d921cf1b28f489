// The processor and its caches, detected once.
#pragma once
#include <stddef.h>

#include "../kernels.h"

struct Caches {
  size_t l1d, l2, l3;
};  // bytes, of the core that ran the detection; 0: none or unknown

struct Machine {
  const char* processor;  // its name, for display
  const char* features;   // the features that kernels use, separated by blanks
  Caches caches;
  const Kernels* usable[4];  // fastest first; a null pointer ends the list
  bool has_fused_dots;       // AVX-512 VNNI
};

const Machine& machine();
