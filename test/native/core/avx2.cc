// The exp core on AVX2 with FMA.
#include "../../../native/simd/avx2.h"
#define ISA "avx2"
#define CORE core_avx2
#include "core.inc"
