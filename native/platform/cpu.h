// What this processor and its operating system allow, asked once.
#pragma once
#include <stddef.h>

#include "../kernels.h"

struct Caches { size_t l1d, l2, l3; };  // bytes; of the core the question was asked on, 0: none or unknown

struct Machine {
  const char* processor;        // its name for people
  const char* features;         // names that matter to the kernels, separated by blanks
  Caches caches;
  const Kernels* usable[4];     // best first, ended by a null pointer
};

const Machine& machine();
