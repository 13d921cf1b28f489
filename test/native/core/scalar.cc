// The exp core on plain C++.
#include "../../../native/simd/scalar.h"
#define ISA "scalar"
#define CORE core_scalar
#include "core.inc"
