// The kernels on AVX-512.
#include "../simd/avx512.h"
#define ISA "avx512"
#define KERNELS kernels_avx512
#include "table.inc"
