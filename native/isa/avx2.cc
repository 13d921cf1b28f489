// The kernels on AVX2 with FMA.
#include "../simd/avx2.h"
#include "../simd/avx2_bytes.h"
#include "../simd/avx2_dots.h"
#define ISA "avx2"
#define KERNELS kernels_avx2
#include "table.inc"
