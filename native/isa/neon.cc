// The kernels on NEON.
#include "../simd/neon.h"
#define ISA "neon"
#define KERNELS kernels_neon
#include "table.inc"
