// The kernels on AVX-512.
#include "../simd/avx512.h"
#include "../simd/avx512_bytes.h"
#include "../simd/avx512_dots.h"
#define ISA "avx512"
#define KERNELS kernels_avx512
#include "table.inc"
