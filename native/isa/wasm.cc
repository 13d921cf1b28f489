// The kernels on WebAssembly's vectors, each as a function that a module may export (scripts/build-wasm.mjs).
#include "../simd/wasm128.h"
#include "../simd/wasm128_bytes.h"
#include "../simd/wasm128_dots.h"
#define ISA "wasm"
#define KERNELS kernels_wasm
#include "table.inc"

#include "../host/wasm/call.h"

#define OF_TYPE(op, type, X, Y) \
  extern "C" __attribute__((visibility("default"))) int32_t op##_##type(uintptr_t begin, uintptr_t end, \
                                                                        int32_t grows) { \
    constexpr op##_kernel<Stored<X>, Stored<Y>> kernel = op<X, Y>; \
    return wasm::call(kernel, binding::op##_holds, {begin, end, grows != 0}); \
  }
#define OPERATOR(op, TYPES) TYPES(OF_TYPE, op)
#include "../operators.def"
