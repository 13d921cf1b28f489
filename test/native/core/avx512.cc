// The exp core on AVX-512.
#include "../../../native/simd/avx512.h"
#define ISA "avx512"
#define CORE core_avx512
#include "core.inc"
