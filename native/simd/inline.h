// How a function of these headers is made part of its caller. Every helper must be: a copy of it left standing
// on its own would carry its instruction set to callers that may not have it. ALWAYS is for members,
// ALWAYS_LAMBDA stands between a lambda's parameters and its body. Only baseline code (BASELINE, scalar.h) may leave it
// to the compiler, and does: it is a sixth of the size then. FORCED: always, for types that all of native/ has.
// SELDOM: out of line, and rather small than fast.
#pragma once
#include <stdint.h>
// Before a loop over registers, whose number of turns is constant: arrays of vectors are registers only if it is unrolled.
#if defined(BASELINE)
#define UNROLL
#elif defined(__clang__)
#define UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif
#if defined(_MSC_VER)
#include <intrin.h>
#include <math.h>
#include <string.h>
#pragma fp_contract(off)  // as -ffp-contract=off: before Visual Studio 2022, /fp:precise made its own fma
#define ALWAYS __forceinline
#define FORCED __forceinline
#define NEVER_INLINE __declspec(noinline)
#define SELDOM NEVER_INLINE
#define ALWAYS_LAMBDA [[msvc::forceinline]]
#define SIMD_INLINE static __forceinline
#define FUSED_F64(a, b, c) ::fma(a, b, c)
#define FUSED_F32(a, b, c) ::fmaf(a, b, c)
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
#define FUSED_F64(a, b, c) __builtin_fma(a, b, c)
#define FUSED_F32(a, b, c) __builtin_fmaf(a, b, c)
#define COPY(to, from, bytes) __builtin_memcpy(to, from, bytes)
#endif

// Sets a byte that threads share, and returns what it was; what they wrote before is seen after.
SIMD_INLINE char exchange(char* at, char value) {
#if defined(_MSC_VER)
  return _InterlockedExchange8(at, value);
#else
  return __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL);
#endif
}

// The position of the lowest bit that is set; one is.
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

// The items of an array whose bit is set, one behind the other in `to`; returns how many.
template <class T> SIMD_INLINE unsigned pack_bits(T* to, const T* from, uint32_t bits) {
  unsigned n = 0;
  for (; bits; bits &= bits - 1) to[n++] = from[lowest_bit(bits)];
  return n;
}
