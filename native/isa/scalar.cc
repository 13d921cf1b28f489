// The kernels on plain C++, for processors with none of the above and as the reference.
#include "../simd/scalar.h"
#include "../simd/scalar_bytes.h"
#include "../simd/scalar_dots.h"
#define ISA "scalar"
#define KERNELS kernels_scalar
#include "table.inc"
