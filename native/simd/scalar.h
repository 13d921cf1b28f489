// f32x16 and f64x8 as plain arrays: the definition of each function, and the kernels of last resort.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define BASELINE
#include "inline.h"

// Out of line: sixteen lanes of such code would be copied into every kernel.
#if defined(_MSC_VER)
#define LANES [[maybe_unused]] static __declspec(noinline)
#else
#define LANES [[maybe_unused]] static __attribute__((noinline))
#endif

namespace {

#define KEEP(x) ((void)0)

struct f32x16 {
  float v[16];
};
struct f64x8 {
  double v[8];
};
constexpr int kVectors = 1, kRegisters = 16;  // f32x16 that the processor holds; its registers in one f32x16

#define EACH(T, N, expression) \
  T r; \
  for (size_t i = 0; i < N; i++) r.v[i] = expression; \
  return r
#define EACH_F32(expression) EACH(f32x16, 16, expression)
#define EACH_F64(expression) EACH(f64x8, 8, expression)

// Memory. The `_n` forms access the first n lanes only; the other lanes of a loaded vector are `rest`.
LANES f32x16 load(const float* p) { EACH_F32(p[i]); }
LANES f64x8 load(const double* p) { EACH_F64(p[i]); }
LANES f32x16 load_n(const float* p, size_t n, float rest) { EACH_F32(i < n ? p[i] : rest); }
LANES f64x8 load_n(const double* p, size_t n, double rest) { EACH_F64(i < n ? p[i] : rest); }
LANES void store(float* p, f32x16 x) { COPY(p, x.v, sizeof x.v); }
LANES void store(double* p, f64x8 x) { COPY(p, x.v, sizeof x.v); }
LANES void store_n(float* p, f32x16 x, size_t n) { COPY(p, x.v, n * sizeof *p); }
LANES void store_n(double* p, f64x8 x, size_t n) { COPY(p, x.v, n * sizeof *p); }
// stream: stores a whole aligned vector past the caches where the processor can. stream_end: later stores come after
// it.
LANES void stream(float* p, f32x16 x) { store(p, x); }
LANES void stream(double* p, f64x8 x) { store(p, x); }
LANES void stream_end() {}
LANES void prefetch(const void*) {}

// The fused multiply-add of the target where it has one; else the C library's for doubles. Floats: the product is
// exact in double and the sum is rounded to odd there, so that the second rounding is right (Boldo & Melquiond 2008,
// 53 ≥ 2·24 + 2).
SIMD_INLINE double fma1(double a, double b, double c) { return FUSED_F64(a, b, c); }
SIMD_INLINE float fma1(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__) || defined(_M_ARM64)
  return FUSED_F32(a, b, c);
#else
  double p = (double)a * b, s = p + c, t = s - p, rest = (p - (s - t)) + (c - t);
  uint64_t u;
  COPY(&u, &s, 8);
  if (rest != 0 && !(u & 1) && s - s == 0) {  // inexact, even and finite: the odd neighbour on the side of the rest
    u += (rest > 0) == (s > 0) ? 1 : (uint64_t)-1;
    COPY(&s, &u, 8);
  }
  return (float)s;
#endif
}

// Arithmetic.
LANES f32x16 splat(float x) { EACH_F32(x); }
LANES f64x8 splat(double x) { EACH_F64(x); }
LANES f32x16 add(f32x16 x, f32x16 y) { EACH_F32(x.v[i] + y.v[i]); }
LANES f64x8 add(f64x8 x, f64x8 y) { EACH_F64(x.v[i] + y.v[i]); }
LANES f32x16 sub(f32x16 x, f32x16 y) { EACH_F32(x.v[i] - y.v[i]); }
LANES f64x8 sub(f64x8 x, f64x8 y) { EACH_F64(x.v[i] - y.v[i]); }
LANES f32x16 mul(f32x16 x, f32x16 y) { EACH_F32(x.v[i] * y.v[i]); }
LANES f64x8 mul(f64x8 x, f64x8 y) { EACH_F64(x.v[i] * y.v[i]); }
LANES f32x16 fma(f32x16 x, f32x16 y, f32x16 z) { EACH_F32(fma1(x.v[i], y.v[i], z.v[i])); }
LANES f64x8 fma(f64x8 x, f64x8 y, f64x8 z) { EACH_F64(fma1(x.v[i], y.v[i], z.v[i])); }
LANES f32x16 div(f32x16 x, f32x16 y) { EACH_F32(x.v[i] / y.v[i]); }
LANES f64x8 div(f64x8 x, f64x8 y) { EACH_F64(x.v[i] / y.v[i]); }
// The larger number. The first form keeps a NaN of x, the second passes over it. `low` and `acc` are no NaN.
LANES f32x16 max_keep_nan(f32x16 low, f32x16 x) { EACH_F32(low.v[i] > x.v[i] ? low.v[i] : x.v[i]); }
LANES f64x8 max_keep_nan(f64x8 low, f64x8 x) { EACH_F64(low.v[i] > x.v[i] ? low.v[i] : x.v[i]); }
LANES f32x16 max_skip_nan(f32x16 acc, f32x16 x) { EACH_F32(x.v[i] > acc.v[i] ? x.v[i] : acc.v[i]); }
LANES f64x8 max_skip_nan(f64x8 acc, f64x8 x) { EACH_F64(x.v[i] > acc.v[i] ? x.v[i] : acc.v[i]); }

// first_n: the first n lanes, zero behind them. zero_below: x where v is not below `low` (a NaN is not), else zero.
LANES f32x16 first_n(f32x16 x, size_t n) { EACH_F32(i < n ? x.v[i] : 0); }
LANES f64x8 first_n(f64x8 x, size_t n) { EACH_F64(i < n ? x.v[i] : 0); }
LANES f32x16 zero_below(f32x16 x, f32x16 v, f32x16 low) { EACH_F32(v.v[i] < low.v[i] ? 0 : x.v[i]); }
LANES f64x8 zero_below(f64x8 x, f64x8 v, f64x8 low) { EACH_F64(v.v[i] < low.v[i] ? 0 : x.v[i]); }
// x, zero in place of a NaN.
LANES f32x16 zero_nan(f32x16 x) { EACH_F32(x.v[i] == x.v[i] ? x.v[i] : 0); }
LANES f64x8 zero_nan(f64x8 x) { EACH_F64(x.v[i] == x.v[i] ? x.v[i] : 0); }
LANES f64x8 add_from(f64x8 sum, f64x8 a, f64x8 x, f64x8 low) {
  EACH_F64(x.v[i] < low.v[i] ? sum.v[i] : sum.v[i] + a.v[i]);
}
// x in the lanes whose bit is set, y in the others.
LANES f32x16 select_bits(f32x16 x, f32x16 y, uint32_t lanes) { EACH_F32(lanes >> i & 1 ? x.v[i] : y.v[i]); }
LANES f64x8 select_bits(f64x8 x, f64x8 y, uint32_t lanes) { EACH_F64(lanes >> i & 1 ? x.v[i] : y.v[i]); }
// A bit for each lane of x that is greater than y's, or equal to it.
LANES uint32_t lanes_above(f32x16 x, f32x16 y) {
  uint32_t lanes = 0;
  for (int i = 0; i < 16; i++) lanes |= (uint32_t)(x.v[i] > y.v[i]) << i;
  return lanes;
}
LANES uint32_t lanes_equal(f32x16 x, f32x16 y) {
  uint32_t lanes = 0;
  for (int i = 0; i < 16; i++) lanes |= (uint32_t)(x.v[i] == y.v[i]) << i;
  return lanes;
}
// The lanes outside of [low, high]. A NaN is outside.
LANES uint32_t lanes_outside(f32x16 x, f32x16 low, f32x16 high) {
  uint32_t lanes = 0;
  for (int i = 0; i < 16; i++) lanes |= (uint32_t)!(x.v[i] >= low.v[i] && x.v[i] <= high.v[i]) << i;
  return lanes;
}
LANES uint32_t lanes_above(f64x8 x, f64x8 y) {
  uint32_t lanes = 0;
  for (int i = 0; i < 8; i++) lanes |= (uint32_t)(x.v[i] > y.v[i]) << i;
  return lanes;
}
// Writes the lanes whose bits are set to `to`, without gaps; a whole vector may be written there. `from` is where the
// vector was loaded. Returns how many lanes these are.
LANES unsigned pack(float* to, const float* from, f32x16, uint32_t lanes) { return pack_bits(to, from, lanes); }
LANES unsigned pack(double* to, const double* from, f64x8, uint32_t lanes) { return pack_bits(to, from, lanes); }

// Bits. lookup8: the entry of the low three bits of each lane, in a table aligned to 64 bytes. add_shifted: x plus y
// shifted so that y's fourth bit meets the exponent's lowest. any_bits: whether some lane has a bit of the mask.
SIMD_INLINE uint32_t bits(float x) {
  uint32_t u;
  COPY(&u, &x, 4);
  return u;
}
SIMD_INLINE uint64_t bits(double x) {
  uint64_t u;
  COPY(&u, &x, 8);
  return u;
}
SIMD_INLINE float from_bits(uint32_t u) {
  float x;
  COPY(&x, &u, 4);
  return x;
}
SIMD_INLINE double from_bits(uint64_t u) {
  double x;
  COPY(&x, &u, 8);
  return x;
}
LANES f32x16 lookup8(const float* table, f32x16 index) { EACH_F32(table[bits(index.v[i]) & 7]); }
LANES f64x8 lookup8(const double* table, f64x8 index) { EACH_F64(table[bits(index.v[i]) & 7]); }
LANES f32x16 add_shifted(f32x16 x, f32x16 y) { EACH_F32(from_bits(bits(x.v[i]) + (bits(y.v[i]) << 20))); }
LANES f64x8 add_shifted(f64x8 x, f64x8 y) { EACH_F64(from_bits(bits(x.v[i]) + (bits(y.v[i]) << 49))); }
LANES f64x8 add_integers(f64x8 x, f64x8 y) { EACH_F64(from_bits(bits(x.v[i]) + bits(y.v[i]))); }
// A positive normal number is mantissa · 2^octave, the mantissa in [1, 2).
LANES f64x8 octaves_of(f64x8 x) { EACH_F64((double)(int)(bits(x.v[i]) >> 52) - 1023); }
LANES f64x8 mantissas_of(f64x8 x) { EACH_F64(from_bits((bits(x.v[i]) & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000)); }
LANES f32x16 or_bits(f32x16 x, f32x16 y, f32x16 z) { EACH_F32(from_bits(bits(x.v[i]) | bits(y.v[i]) | bits(z.v[i]))); }
LANES f64x8 or_bits(f64x8 x, f64x8 y, f64x8 z) { EACH_F64(from_bits(bits(x.v[i]) | bits(y.v[i]) | bits(z.v[i]))); }
LANES bool any_bits(f32x16 x, uint32_t mask) {
  uint32_t o = 0;
  for (float a : x.v) o |= bits(a);
  return (o & mask) != 0;
}
LANES bool any_bits(f64x8 x, uint64_t mask) {
  uint64_t o = 0;
  for (double a : x.v) o |= bits(a);
  return (o & mask) != 0;
}
LANES bool any_nan(f32x16 x) {
  bool nan = false;
  for (float a : x.v) nan |= a != a;
  return nan;
}
LANES bool any_nan(f64x8 x) {
  bool nan = false;
  for (double a : x.v) nan |= a != a;
  return nan;
}

// Reductions. The order of the additions is part of the result: the two halves first, then their halves, down to one
// lane.
LANES f64x8 low_f64(f32x16 x) { EACH_F64((double)x.v[i]); }
LANES f64x8 high_f64(f32x16 x) { EACH_F64((double)x.v[i + 8]); }
LANES f32x16 narrow(f64x8 x, f64x8 y) { EACH_F32((float)(i < 8 ? x.v[i & 7] : y.v[i & 7])); }
LANES double reduce_add(f64x8 x) {
  return ((x.v[0] + x.v[4]) + (x.v[2] + x.v[6])) + ((x.v[1] + x.v[5]) + (x.v[3] + x.v[7]));
}
LANES float reduce_max(f32x16 x) {
  float m = x.v[0];
  for (float a : x.v) m = a > m ? a : m;
  return m;
}
LANES double reduce_max(f64x8 x) {
  double m = x.v[0];
  for (double a : x.v) m = a > m ? a : m;
  return m;
}

// Transposes sixteen rows of sixteen floats, `stride` apart, into sixteen adjacent rows.
LANES void transpose16(const float* rows, size_t stride, float* out) {
  for (size_t i = 0; i < 16; i++)
    for (size_t j = 0; j < 16; j++) out[16 * j + i] = rows[i * stride + j];
}

// Half types in memory, sixteen at a time: `half` is float16, `brain` bfloat16; and signed bytes. To the nearest, ties
// to even A NaN keeps its sign and its leading bits and becomes quiet.
SIMD_INLINE float from_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7FFF;
  if (rest >= 0x7C00) return from_bits(sign | 0x7F800000 | (rest & 0x3FF) << 13 | (rest > 0x7C00) << 22);
  if (rest >= 0x0400) return from_bits(sign | ((rest << 13) + (112u << 23)));
  float x = (float)rest * 0x1p-24f;
  return sign ? -x : x;
}
SIMD_INLINE uint16_t to_half(float x) {
  uint32_t u = bits(x), rest = u & 0x7FFFFFFF;
  uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
  if (rest > 0x7F800000) return (uint16_t)(sign | 0x7E00 | (rest >> 13 & 0x3FF));
  if (rest >= 0x477FF000) return sign | 0x7C00;  // 65520 and above
  if (rest < 0x38800000)
    return (uint16_t)(sign | (bits(from_bits(rest) + 0.5f) & 0x7FF));  // ½ has 2^-24 in its last place
  return (uint16_t)(sign | ((rest - (112u << 23) + 0xFFF + (rest >> 13 & 1)) >> 13));
}
SIMD_INLINE uint16_t to_brain(float x) {
  uint32_t u = bits(x);
  return (uint16_t)((x != x ? u | 0x400000 : u + 0x7FFF + (u >> 16 & 1)) >> 16);
}
LANES f32x16 load_half(const uint16_t* p) { EACH_F32(from_half(p[i])); }
LANES void store_half(uint16_t* p, f32x16 x) {
  for (size_t i = 0; i < 16; i++) p[i] = to_half(x.v[i]);
}
LANES f32x16 load_brain(const uint16_t* p) { EACH_F32(from_bits((uint32_t)p[i] << 16)); }
LANES void store_brain(uint16_t* p, f32x16 x) {
  for (size_t i = 0; i < 16; i++) p[i] = to_brain(x.v[i]);
}
LANES f32x16 load_bytes(const int8_t* p) { EACH_F32((float)p[i]); }

#undef LANES
#undef EACH
#undef EACH_F32
#undef EACH_F64

}  // namespace
