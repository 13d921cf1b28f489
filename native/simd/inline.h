// Inlining. Every helper of a kernel is inlined or local: the linker could otherwise give its copy, with its
// instruction set, to callers whose processor lacks that set.
//   SIMD_INLINE, ALWAYS   functions, members        ALWAYS_LAMBDA   between a lambda's parameters and its body
//   SELDOM                out of line, optimised for size      FORCED   members of types that all of native/ uses
// Baseline code (BASELINE, scalar.h) leaves inlining to the compiler: it is a sixth of the size then.
#pragma once
#include <stdint.h>
// Stands before a loop over registers. An array of vectors is kept in registers only if the loop is unrolled.
#if defined(BASELINE)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif
// The same for rows that are rare, but not in WebAssembly, whose size is what a page loads.
#ifdef __wasm__
#define UNROLL_WHERE_ROOM _Pragma("nounroll")
#else
#define UNROLL_WHERE_ROOM UNROLL
#endif
#if defined(_MSC_VER)
#include <intrin.h>
#include <math.h>
#include <string.h>
#pragma fp_contract(off)  // Visual Studio before 2022 contracts to fma under /fp:precise
#define ALWAYS __forceinline
#define FORCED __forceinline
#define NEVER_INLINE __declspec(noinline)
#define SELDOM NEVER_INLINE
#define ALWAYS_LAMBDA [[msvc::forceinline]]
#define SIMD_INLINE static __forceinline
#define FUSED_F64(a, b, c) ::fma(a, b, c)
#define FUSED_F32(a, b, c) ::fmaf(a, b, c)
#define SQUARE_ROOT(x) ::sqrt(x)
#define COPY(to, from, bytes) memcpy(to, from, bytes)
#else
#ifdef BASELINE
#define ALWAYS inline __attribute__((unused))
#define ALWAYS_LAMBDA
#else
#define ALWAYS inline __attribute__((always_inline, unused))
#define ALWAYS_LAMBDA __attribute__((always_inline))
#endif
#define NEVER_INLINE __attribute__((noinline))
#define SELDOM __attribute__((noinline, cold))
#define FORCED inline __attribute__((always_inline))
#define SIMD_INLINE static ALWAYS
#if defined(__wasm__)
#define FUSED_F64(a, b, c) fused(a, b, c)
#else
#define FUSED_F64(a, b, c) __builtin_fma(a, b, c)
#define FUSED_F32(a, b, c) __builtin_fmaf(a, b, c)
#endif
#define SQUARE_ROOT(x) __builtin_sqrt(x)
#define COPY(to, from, bytes) __builtin_memcpy(to, from, bytes)
#endif

#if defined(__wasm__)
#include <wasm_simd128.h>
// WebAssembly has no fused operation on one number.
SIMD_INLINE double fused(double a, double b, double c) {
  return wasm_f64x2_extract_lane(
      wasm_f64x2_relaxed_madd(wasm_f64x2_splat(a), wasm_f64x2_splat(b), wasm_f64x2_splat(c)), 0);
}
#endif

// Sets a byte that threads share and returns its old value. Acquires and releases.
SIMD_INLINE char exchange(char* at, char value) {
#if defined(_MSC_VER)
  return _InterlockedExchange8(at, value);
#else
  return __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL);
#endif
}

// The position of the lowest set bit. bits is not 0.
SIMD_INLINE unsigned lowest_bit(uint64_t bits) {
#if defined(_MSC_VER)
  unsigned long at;
  _BitScanForward64(&at, bits);
  return at;
#else
  return (unsigned)__builtin_ctzll(bits);
#endif
}

SIMD_INLINE unsigned bit_count(uint32_t bits) {
#if defined(__GNUC__) && !defined(BASELINE)
  return (unsigned)__builtin_popcount(bits);
#else
  bits -= bits >> 1 & 0x55555555;
  bits = (bits & 0x33333333) + (bits >> 2 & 0x33333333);
  return (((bits + (bits >> 4)) & 0x0F0F0F0F) * 0x01010101) >> 24;
#endif
}

// Copies the items whose bit is set to `to`, without gaps. Returns how many these are.
template <class T> SIMD_INLINE unsigned pack_bits(T* to, const T* from, uint32_t bits) {
  unsigned n = 0;
  for (; bits; bits &= bits - 1) to[n++] = from[lowest_bit(bits)];
  return n;
}
