// f32x16 and f64x8 on WebAssembly with relaxed SIMD: four v128 each. scalar.h says what each function means.
//
// relaxed_madd may round once or twice. The host runs these kernels only where it rounds once (lib/backend/wasm/).
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

#include "inline.h"

namespace {

#define KEEP(x) ((void)0)

struct f32x16 {
  v128_t v[4];
};
struct f64x8 {
  v128_t v[4];
};
constexpr int kVectors = 4, kRegisters = 4;  // f32x16 that a processor with 16 registers holds; registers in an f32x16

// EACH writes a statement for each of the four registers. In a loop that stays one, vectors live in memory.
#define EACH(expression) \
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = expression; \
  return r

// Memory. A partial vector is read and written by halves of halves, never past the end of a buffer.
SIMD_INLINE f32x16 load(const float* p) {
  f32x16 r;
  EACH(wasm_v128_load(p + 4 * i));
}
SIMD_INLINE f64x8 load(const double* p) {
  f64x8 r;
  EACH(wasm_v128_load(p + 2 * i));
}
SIMD_INLINE void store(float* p, f32x16 x) { UNROLL for (int i = 0; i < 4; i++) wasm_v128_store(p + 4 * i, x.v[i]); }
SIMD_INLINE void store(double* p, f64x8 x) { UNROLL for (int i = 0; i < 4; i++) wasm_v128_store(p + 2 * i, x.v[i]); }
SIMD_INLINE f32x16 splat(float x) {
  f32x16 r;
  EACH(wasm_f32x4_splat(x));
}
SIMD_INLINE f64x8 splat(double x) {
  f64x8 r;
  EACH(wasm_f64x2_splat(x));
}
NEVER_INLINE static f32x16 load_n(const float* p, size_t n, float rest) {
  float a[16], *to = a;
  if (n & 16) return load(p);
  store(a, splat(rest));
  if (n & 8) COPY(to, p, 32), to += 8, p += 8;
  if (n & 4) COPY(to, p, 16), to += 4, p += 4;
  if (n & 2) COPY(to, p, 8), to += 2, p += 2;
  if (n & 1) *to = *p;
  return load(a);
}
NEVER_INLINE static f64x8 load_n(const double* p, size_t n, double rest) {
  double a[8], *to = a;
  if (n & 8) return load(p);
  store(a, splat(rest));
  if (n & 4) COPY(to, p, 32), to += 4, p += 4;
  if (n & 2) COPY(to, p, 16), to += 2, p += 2;
  if (n & 1) *to = *p;
  return load(a);
}
NEVER_INLINE static void store_n(float* p, f32x16 x, size_t n) {
  v128_t a = x.v[0], b = x.v[1];
  if (n & 16) return store(p, x);
  if (n & 8) wasm_v128_store(p, a), wasm_v128_store(p + 4, b), p += 8, a = x.v[2], b = x.v[3];
  if (n & 4) wasm_v128_store(p, a), p += 4, a = b;
  if (n & 2) wasm_v128_store64_lane(p, a, 0), p += 2, a = wasm_i64x2_shuffle(a, a, 1, 1);
  if (n & 1) wasm_v128_store32_lane(p, a, 0);
}
NEVER_INLINE static void store_n(double* p, f64x8 x, size_t n) {
  v128_t a = x.v[0], b = x.v[1];
  if (n & 8) return store(p, x);
  if (n & 4) wasm_v128_store(p, a), wasm_v128_store(p + 2, b), p += 4, a = x.v[2], b = x.v[3];
  if (n & 2) wasm_v128_store(p, a), p += 2, a = b;
  if (n & 1) wasm_v128_store64_lane(p, a, 0);
}
// WebAssembly has no stores past the caches, and no hints.
SIMD_INLINE void stream(float* p, f32x16 x) { store(p, x); }
SIMD_INLINE void stream(double* p, f64x8 x) { store(p, x); }
SIMD_INLINE void stream_end() {}
SIMD_INLINE void prefetch(const void*) {}

// Arithmetic.
#define LANEWISE(name, expression_f32, expression_f64) \
  SIMD_INLINE f32x16 name(f32x16 x, f32x16 y) { \
    f32x16 r; \
    EACH(expression_f32(x.v[i], y.v[i])); \
  } \
  SIMD_INLINE f64x8 name(f64x8 x, f64x8 y) { \
    f64x8 r; \
    EACH(expression_f64(x.v[i], y.v[i])); \
  }
LANEWISE(add, wasm_f32x4_add, wasm_f64x2_add)
LANEWISE(sub, wasm_f32x4_sub, wasm_f64x2_sub)
LANEWISE(mul, wasm_f32x4_mul, wasm_f64x2_mul)
LANEWISE(div, wasm_f32x4_div, wasm_f64x2_div)
// pmax(a, b) is a < b ? b : a.
LANEWISE(max_skip_nan, wasm_f32x4_pmax, wasm_f64x2_pmax)
#undef LANEWISE
SIMD_INLINE f32x16 max_keep_nan(f32x16 low, f32x16 x) { return max_skip_nan(x, low); }
SIMD_INLINE f64x8 max_keep_nan(f64x8 low, f64x8 x) { return max_skip_nan(x, low); }
SIMD_INLINE f32x16 fma(f32x16 x, f32x16 y, f32x16 z) {
  f32x16 r;
  EACH(wasm_f32x4_relaxed_madd(x.v[i], y.v[i], z.v[i]));
}
SIMD_INLINE f64x8 fma(f64x8 x, f64x8 y, f64x8 z) {
  f64x8 r;
  EACH(wasm_f64x2_relaxed_madd(x.v[i], y.v[i], z.v[i]));
}

// first_n: the first n lanes, zero behind them. zero_below: x where v is not below `low` (a NaN is not), else zero.
NEVER_INLINE static f32x16 first_n(f32x16 x, size_t n) {
  const v128_t four = wasm_i32x4_const(0, 1, 2, 3);
  f32x16 r;
  EACH(wasm_v128_and(x.v[i], wasm_i32x4_gt(wasm_i32x4_splat((int32_t)n - 4 * i), four)));
}
NEVER_INLINE static f64x8 first_n(f64x8 x, size_t n) {
  const v128_t two = wasm_i64x2_const(0, 1);
  f64x8 r;
  EACH(wasm_v128_and(x.v[i], wasm_i64x2_gt(wasm_i64x2_splat((int64_t)n - 2 * i), two)));
}
SIMD_INLINE f32x16 zero_below(f32x16 x, f32x16 v, f32x16 low) {
  f32x16 r;
  EACH(wasm_v128_andnot(x.v[i], wasm_f32x4_lt(v.v[i], low.v[i])));
}
SIMD_INLINE f64x8 zero_below(f64x8 x, f64x8 v, f64x8 low) {
  f64x8 r;
  EACH(wasm_v128_andnot(x.v[i], wasm_f64x2_lt(v.v[i], low.v[i])));
}
// x, zero in place of a NaN.
SIMD_INLINE f32x16 zero_nan(f32x16 x) {
  f32x16 r;
  EACH(wasm_v128_and(x.v[i], wasm_f32x4_eq(x.v[i], x.v[i])));
}
SIMD_INLINE f64x8 zero_nan(f64x8 x) {
  f64x8 r;
  EACH(wasm_v128_and(x.v[i], wasm_f64x2_eq(x.v[i], x.v[i])));
}
SIMD_INLINE f64x8 add_from(f64x8 sum, f64x8 a, f64x8 x, f64x8 low) { return add(sum, zero_below(a, x, low)); }
// x in the lanes whose bit is set, y in the others.
SIMD_INLINE f32x16 select_bits(f32x16 x, f32x16 y, uint32_t lanes) {
  const v128_t four = wasm_i32x4_const(1, 2, 4, 8);
  f32x16 r;
  EACH(wasm_v128_bitselect(
      x.v[i], y.v[i], wasm_i32x4_eq(wasm_v128_and(wasm_i32x4_splat((int32_t)(lanes >> (4 * i))), four), four)));
}
SIMD_INLINE f64x8 select_bits(f64x8 x, f64x8 y, uint32_t lanes) {
  const v128_t two = wasm_i64x2_const(1, 2);
  f64x8 r;
  EACH(wasm_v128_bitselect(x.v[i], y.v[i],
                           wasm_i64x2_eq(wasm_v128_and(wasm_i64x2_splat((int64_t)(lanes >> (2 * i))), two), two)));
}
// A bit for each lane of x that is greater than y's, or equal to it.
SIMD_INLINE uint32_t lanes_above(f32x16 x, f32x16 y) {
  uint32_t lanes = 0;
  UNROLL for (int i = 0; i < 4; i++) lanes |= (uint32_t)wasm_i32x4_bitmask(wasm_f32x4_gt(x.v[i], y.v[i])) << (4 * i);
  return lanes;
}
SIMD_INLINE uint32_t lanes_equal(f32x16 x, f32x16 y) {
  uint32_t lanes = 0;
  UNROLL for (int i = 0; i < 4; i++) lanes |= (uint32_t)wasm_i32x4_bitmask(wasm_f32x4_eq(x.v[i], y.v[i])) << (4 * i);
  return lanes;
}
SIMD_INLINE uint32_t lanes_outside(f32x16 x, f32x16 low, f32x16 high) {
  uint32_t inside = 0;
  UNROLL for (int i = 0; i < 4; i++) {
    const v128_t in = wasm_v128_and(wasm_f32x4_le(x.v[i], high.v[i]), wasm_f32x4_ge(x.v[i], low.v[i]));
    inside |= (uint32_t)wasm_i32x4_bitmask(in) << (4 * i);
  }
  return ~inside & 0xFFFF;
}
SIMD_INLINE uint32_t lanes_above(f64x8 x, f64x8 y) {
  uint32_t lanes = 0;
  UNROLL for (int i = 0; i < 4; i++) lanes |= (uint32_t)wasm_i64x2_bitmask(wasm_f64x2_gt(x.v[i], y.v[i])) << (2 * i);
  return lanes;
}
// Copies the lanes whose bits are set to `to`, without gaps, from where the vector was loaded. Returns their number.
SIMD_INLINE unsigned pack(float* to, const float* from, f32x16, uint32_t lanes) { return pack_bits(to, from, lanes); }
SIMD_INLINE unsigned pack(double* to, const double* from, f64x8, uint32_t lanes) { return pack_bits(to, from, lanes); }

// Bits. Lane index k becomes the bytes 4k, 4k+1, 4k+2, 4k+3 of a table of 32 bytes in two registers. A swizzle gives 0
// for a byte from 16 on. So does the relaxed one from 128 on, on every processor: bytes minus 16 are 0 … 15 or
// 240 … 255.
SIMD_INLINE f32x16 lookup8(const float* table, f32x16 index) {
  const v128_t low = wasm_v128_load(table), high = wasm_v128_load(table + 4);
  f32x16 r;
  UNROLL for (int i = 0; i < 4; i++) {
    const v128_t k = wasm_v128_and(index.v[i], wasm_i32x4_splat(7));
    const v128_t b = wasm_i32x4_add(wasm_i32x4_mul(k, wasm_i32x4_splat(0x04040404)), wasm_i32x4_splat(0x03020100));
    r.v[i] = wasm_v128_or(wasm_i8x16_swizzle(low, b),
                          wasm_i8x16_relaxed_swizzle(high, wasm_i8x16_sub(b, wasm_i8x16_splat(16))));
  }
  return r;
}
SIMD_INLINE f64x8 lookup8(const double* table, f64x8 index) {
  f64x8 r;
  EACH(wasm_v128_load64_lane(table + (wasm_i32x4_extract_lane(index.v[i], 2) & 7),
                             wasm_v128_load64_zero(table + (wasm_i32x4_extract_lane(index.v[i], 0) & 7)), 1));
}
SIMD_INLINE f32x16 add_shifted(f32x16 x, f32x16 y) {
  f32x16 r;
  EACH(wasm_i32x4_add(x.v[i], wasm_i32x4_shl(y.v[i], 20)));
}
SIMD_INLINE f64x8 add_shifted(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(wasm_i64x2_add(x.v[i], wasm_i64x2_shl(y.v[i], 49)));
}
SIMD_INLINE f64x8 add_integers(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(wasm_i64x2_add(x.v[i], y.v[i]));
}
// n below 2^52 is the mantissa of 2^52 + n.
SIMD_INLINE f64x8 octaves_of(f64x8 x) {
  const v128_t field = wasm_f64x2_splat(0x1p52), bias = wasm_f64x2_splat(0x1p52 + 1023);
  f64x8 r;
  EACH(wasm_f64x2_sub(wasm_v128_or(wasm_u64x2_shr(x.v[i], 52), field), bias));
}
SIMD_INLINE f64x8 mantissas_of(f64x8 x) {
  const v128_t field = wasm_i64x2_splat(0xFFFFFFFFFFFFF), one = wasm_f64x2_splat(1);
  f64x8 r;
  EACH(wasm_v128_or(wasm_v128_and(x.v[i], field), one));
}
SIMD_INLINE f32x16 or_bits(f32x16 x, f32x16 y, f32x16 z) {
  f32x16 r;
  EACH(wasm_v128_or(wasm_v128_or(x.v[i], y.v[i]), z.v[i]));
}
SIMD_INLINE f64x8 or_bits(f64x8 x, f64x8 y, f64x8 z) {
  f64x8 r;
  EACH(wasm_v128_or(wasm_v128_or(x.v[i], y.v[i]), z.v[i]));
}
SIMD_INLINE bool any_of(v128_t a, v128_t b, v128_t c, v128_t d, v128_t mask) {
  return wasm_v128_any_true(wasm_v128_and(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d)), mask));
}
SIMD_INLINE bool any_bits(f32x16 x, uint32_t mask) {
  return any_of(x.v[0], x.v[1], x.v[2], x.v[3], wasm_i32x4_splat((int32_t)mask));
}
SIMD_INLINE bool any_bits(f64x8 x, uint64_t mask) {
  return any_of(x.v[0], x.v[1], x.v[2], x.v[3], wasm_i64x2_splat((int64_t)mask));
}
SIMD_INLINE bool any_nan(f32x16 x) {
  v128_t same = wasm_f32x4_eq(x.v[0], x.v[0]);
  UNROLL for (int i = 1; i < 4; i++) same = wasm_v128_and(same, wasm_f32x4_eq(x.v[i], x.v[i]));
  return !wasm_i32x4_all_true(same);
}
SIMD_INLINE bool any_nan(f64x8 x) {
  v128_t same = wasm_f64x2_eq(x.v[0], x.v[0]);
  UNROLL for (int i = 1; i < 4; i++) same = wasm_v128_and(same, wasm_f64x2_eq(x.v[i], x.v[i]));
  return !wasm_i64x2_all_true(same);
}

}  // namespace

#include "wasm128_lanes.h"
