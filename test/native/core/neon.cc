// The exp core on NEON.
#include "../../../native/simd/neon.h"
#define ISA "neon"
#define CORE core_neon
#include "core.inc"
