// The kernels on NEON.
#include "../simd/neon.h"
#include "../simd/neon_bytes.h"
#include "../simd/neon_dots.h"
#define ISA "neon"
#define KERNELS kernels_neon
#include "table.inc"
