// f32x16 and f64x8 on NEON (AArch64): four q registers each. scalar.h says what each function means.
#pragma once
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "inline.h"

namespace {

#define KEEP(x) ((void)0)

struct f32x16 {
  float32x4_t v[4];
};
struct f64x8 {
  float64x2_t v[4];
};
constexpr int kVectors = 8, kRegisters = 4;  // f32x16 that the processor holds; its registers in one f32x16

// EACH writes a statement for each of the four registers. In a loop that stays one, vectors live in memory.
#define EACH(expression) \
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = expression; \
  return r

// Memory. A partial vector is read and written by halves of halves, never past the end of a buffer.
SIMD_INLINE f32x16 load(const float* p) {
  f32x16 r;
  EACH(vld1q_f32(p + 4 * i));
}
SIMD_INLINE f64x8 load(const double* p) {
  f64x8 r;
  EACH(vld1q_f64(p + 2 * i));
}
SIMD_INLINE void store(float* p, f32x16 x) { UNROLL for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, x.v[i]); }
SIMD_INLINE void store(double* p, f64x8 x) { UNROLL for (int i = 0; i < 4; i++) vst1q_f64(p + 2 * i, x.v[i]); }
SIMD_INLINE f32x16 splat(float x) {
  f32x16 r;
  EACH(vdupq_n_f32(x));
}
SIMD_INLINE f64x8 splat(double x) {
  f64x8 r;
  EACH(vdupq_n_f64(x));
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
  float32x4_t a = x.v[0], b = x.v[1];
  if (n & 16) return store(p, x);
  if (n & 8) vst1q_f32(p, a), vst1q_f32(p + 4, b), p += 8, a = x.v[2], b = x.v[3];
  if (n & 4) vst1q_f32(p, a), p += 4, a = b;
  float32x2_t half = vget_low_f32(a);
  if (n & 2) vst1_f32(p, half), p += 2, half = vget_high_f32(a);
  if (n & 1) vst1_lane_f32(p, half, 0);
}
NEVER_INLINE static void store_n(double* p, f64x8 x, size_t n) {
  float64x2_t a = x.v[0], b = x.v[1];
  if (n & 8) return store(p, x);
  if (n & 4) vst1q_f64(p, a), vst1q_f64(p + 2, b), p += 4, a = x.v[2], b = x.v[3];
  if (n & 2) vst1q_f64(p, a), p += 2, a = b;
  if (n & 1) vst1q_lane_f64(p, a, 0);
}
// AArch64 cores recognise a stream of whole lines by themselves. stream_end has nothing to order.
SIMD_INLINE void stream(float* p, f32x16 x) { store(p, x); }
SIMD_INLINE void stream(double* p, f64x8 x) { store(p, x); }
SIMD_INLINE void stream_end() {}
#if defined(_MSC_VER)
SIMD_INLINE void prefetch(const void* p) { __prefetch(p); }
#else
SIMD_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
#endif

// Arithmetic.
SIMD_INLINE f32x16 add(f32x16 x, f32x16 y) {
  f32x16 r;
  EACH(vaddq_f32(x.v[i], y.v[i]));
}
SIMD_INLINE f64x8 add(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(vaddq_f64(x.v[i], y.v[i]));
}
SIMD_INLINE f32x16 sub(f32x16 x, f32x16 y) {
  f32x16 r;
  EACH(vsubq_f32(x.v[i], y.v[i]));
}
SIMD_INLINE f64x8 sub(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(vsubq_f64(x.v[i], y.v[i]));
}
SIMD_INLINE f32x16 mul(f32x16 x, f32x16 y) {
  f32x16 r;
  EACH(vmulq_f32(x.v[i], y.v[i]));
}
SIMD_INLINE f64x8 mul(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(vmulq_f64(x.v[i], y.v[i]));
}
SIMD_INLINE f32x16 fma(f32x16 x, f32x16 y, f32x16 z) {
  f32x16 r;
  EACH(vfmaq_f32(z.v[i], x.v[i], y.v[i]));
}
SIMD_INLINE f64x8 fma(f64x8 x, f64x8 y, f64x8 z) {
  f64x8 r;
  EACH(vfmaq_f64(z.v[i], x.v[i], y.v[i]));
}
SIMD_INLINE f32x16 div(f32x16 x, f32x16 y) {
  f32x16 r;
  EACH(vdivq_f32(x.v[i], y.v[i]));
}
SIMD_INLINE f64x8 div(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(vdivq_f64(x.v[i], y.v[i]));
}
// fmax returns a NaN if there is one; fmaxnm prefers the number.
SIMD_INLINE f32x16 max_keep_nan(f32x16 low, f32x16 x) {
  f32x16 r;
  EACH(vmaxq_f32(low.v[i], x.v[i]));
}
SIMD_INLINE f64x8 max_keep_nan(f64x8 low, f64x8 x) {
  f64x8 r;
  EACH(vmaxq_f64(low.v[i], x.v[i]));
}
SIMD_INLINE f32x16 max_skip_nan(f32x16 acc, f32x16 x) {
  f32x16 r;
  EACH(vmaxnmq_f32(acc.v[i], x.v[i]));
}
SIMD_INLINE f64x8 max_skip_nan(f64x8 acc, f64x8 x) {
  f64x8 r;
  EACH(vmaxnmq_f64(acc.v[i], x.v[i]));
}

// first_n: the first n lanes, zero behind them. zero_below: x where v is not below `low` (a NaN is not), else zero.
NEVER_INLINE static f32x16 first_n(f32x16 x, size_t n) {
  const uint32_t four[4] = {0, 1, 2, 3};
  f32x16 r;
  EACH(vreinterpretq_f32_u32(
      vandq_u32(vreinterpretq_u32_f32(x.v[i]),
                vcltq_u32(vaddq_u32(vld1q_u32(four), vdupq_n_u32((uint32_t)(4 * i))), vdupq_n_u32((uint32_t)n)))));
}
NEVER_INLINE static f64x8 first_n(f64x8 x, size_t n) {
  const uint64_t two[2] = {0, 1};
  f64x8 r;
  EACH(vreinterpretq_f64_u64(
      vandq_u64(vreinterpretq_u64_f64(x.v[i]),
                vcltq_u64(vaddq_u64(vld1q_u64(two), vdupq_n_u64((uint64_t)(2 * i))), vdupq_n_u64((uint64_t)n)))));
}
SIMD_INLINE f32x16 zero_below(f32x16 x, f32x16 v, f32x16 low) {
  f32x16 r;
  EACH(vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x.v[i]), vcltq_f32(v.v[i], low.v[i]))));
}
SIMD_INLINE f64x8 zero_below(f64x8 x, f64x8 v, f64x8 low) {
  f64x8 r;
  EACH(vreinterpretq_f64_u64(vbicq_u64(vreinterpretq_u64_f64(x.v[i]), vcltq_f64(v.v[i], low.v[i]))));
}
// x, zero in place of a NaN.
SIMD_INLINE f32x16 zero_nan(f32x16 x) {
  f32x16 r;
  EACH(vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x.v[i]), vceqq_f32(x.v[i], x.v[i]))));
}
SIMD_INLINE f64x8 zero_nan(f64x8 x) {
  f64x8 r;
  EACH(vreinterpretq_f64_u64(vandq_u64(vreinterpretq_u64_f64(x.v[i]), vceqq_f64(x.v[i], x.v[i]))));
}
SIMD_INLINE f64x8 add_from(f64x8 sum, f64x8 a, f64x8 x, f64x8 low) { return add(sum, zero_below(a, x, low)); }
// x in the lanes whose bit is set, y in the others.
SIMD_INLINE f32x16 select_bits(f32x16 x, f32x16 y, uint32_t lanes) {
  const uint32_t four[4] = {1, 2, 4, 8};
  f32x16 r;
  EACH(vbslq_f32(vtstq_u32(vdupq_n_u32(lanes >> (4 * i)), vld1q_u32(four)), x.v[i], y.v[i]));
}
SIMD_INLINE f64x8 select_bits(f64x8 x, f64x8 y, uint32_t lanes) {
  const uint64_t two[2] = {1, 2};
  f64x8 r;
  EACH(vbslq_f64(vtstq_u64(vdupq_n_u64(lanes >> (2 * i)), vld1q_u64(two)), x.v[i], y.v[i]));
}
// A bit for each lane of x that is greater than y's, or equal to it.
SIMD_INLINE uint32_t lanes_above(f32x16 x, f32x16 y) {
  const uint32_t four[4] = {1, 2, 4, 8};
  uint32_t lanes = 0;
  UNROLL for (int i = 0; i < 4; i++) lanes |= vaddvq_u32(vandq_u32(vcgtq_f32(x.v[i], y.v[i]), vld1q_u32(four)))
                                              << (4 * i);
  return lanes;
}
SIMD_INLINE uint32_t lanes_equal(f32x16 x, f32x16 y) {
  const uint32_t four[4] = {1, 2, 4, 8};
  uint32_t lanes = 0;
  UNROLL for (int i = 0; i < 4; i++) lanes |= vaddvq_u32(vandq_u32(vceqq_f32(x.v[i], y.v[i]), vld1q_u32(four)))
                                              << (4 * i);
  return lanes;
}
SIMD_INLINE uint32_t lanes_outside(f32x16 x, f32x16 low, f32x16 high) {
  const uint32_t four[4] = {1, 2, 4, 8};
  uint32_t inside = 0;
  UNROLL for (int i = 0; i < 4; i++) inside |=
      vaddvq_u32(vandq_u32(vandq_u32(vcleq_f32(x.v[i], high.v[i]), vcgeq_f32(x.v[i], low.v[i])), vld1q_u32(four)))
      << (4 * i);
  return ~inside & 0xFFFF;
}
SIMD_INLINE uint32_t lanes_above(f64x8 x, f64x8 y) {
  uint32_t lanes = 0;
  UNROLL for (int i = 0; i < 4; i++) {
    uint64x2_t c = vcgtq_f64(x.v[i], y.v[i]);
    lanes |= (uint32_t)((vgetq_lane_u64(c, 0) & 1) | (vgetq_lane_u64(c, 1) & 2)) << (2 * i);
  }
  return lanes;
}
// Copies the lanes whose bits are set to `to`, without gaps, from where the vector was loaded. Returns their number.
SIMD_INLINE unsigned pack(float* to, const float* from, f32x16, uint32_t lanes) { return pack_bits(to, from, lanes); }
SIMD_INLINE unsigned pack(double* to, const double* from, f64x8, uint32_t lanes) { return pack_bits(to, from, lanes); }

// Bits. The lanes as integers, under two names: all 128-bit vectors are one type in MSVC.
SIMD_INLINE uint32x4_t u32(float32x4_t x) { return vreinterpretq_u32_f32(x); }
SIMD_INLINE uint64x2_t u64(float64x2_t x) { return vreinterpretq_u64_f64(x); }
SIMD_INLINE f32x16 add_shifted(f32x16 x, f32x16 y) {
  f32x16 r;
  EACH(vreinterpretq_f32_u32(vaddq_u32(u32(x.v[i]), vshlq_n_u32(u32(y.v[i]), 20))));
}
SIMD_INLINE f64x8 add_shifted(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(vreinterpretq_f64_u64(vaddq_u64(u64(x.v[i]), vshlq_n_u64(u64(y.v[i]), 49))));
}
SIMD_INLINE f64x8 add_integers(f64x8 x, f64x8 y) {
  f64x8 r;
  EACH(vreinterpretq_f64_u64(vaddq_u64(u64(x.v[i]), u64(y.v[i]))));
}
SIMD_INLINE f64x8 octaves_of(f64x8 x) {
  f64x8 r;
  EACH(vsubq_f64(vcvtq_f64_u64(vshrq_n_u64(u64(x.v[i]), 52)), vdupq_n_f64(1023)));
}
SIMD_INLINE f64x8 mantissas_of(f64x8 x) {
  const uint64x2_t field = vdupq_n_u64(0xFFFFFFFFFFFFF), one = vdupq_n_u64(0x3FF0000000000000);
  f64x8 r;
  EACH(vreinterpretq_f64_u64(vorrq_u64(vandq_u64(u64(x.v[i]), field), one)));
}
SIMD_INLINE f32x16 or_bits(f32x16 x, f32x16 y, f32x16 z) {
  f32x16 r;
  EACH(vreinterpretq_f32_u32(vorrq_u32(vorrq_u32(u32(x.v[i]), u32(y.v[i])), u32(z.v[i]))));
}
SIMD_INLINE f64x8 or_bits(f64x8 x, f64x8 y, f64x8 z) {
  f64x8 r;
  EACH(vreinterpretq_f64_u64(vorrq_u64(vorrq_u64(u64(x.v[i]), u64(y.v[i])), u64(z.v[i]))));
}
SIMD_INLINE bool any_bits(f32x16 x, uint32_t mask) {
  uint32x4_t o = vorrq_u32(vorrq_u32(u32(x.v[0]), u32(x.v[1])), vorrq_u32(u32(x.v[2]), u32(x.v[3])));
  return vmaxvq_u32(vandq_u32(o, vdupq_n_u32(mask))) != 0;
}
SIMD_INLINE bool any_bits(f64x8 x, uint64_t mask) {
  uint64x2_t o = vorrq_u64(vorrq_u64(u64(x.v[0]), u64(x.v[1])), vorrq_u64(u64(x.v[2]), u64(x.v[3])));
  return ((vgetq_lane_u64(o, 0) | vgetq_lane_u64(o, 1)) & mask) != 0;
}
SIMD_INLINE bool any_nan(f32x16 x) {
  uint32x4_t same = vdupq_n_u32(~0u);
  UNROLL for (int i = 0; i < 4; i++) same = vandq_u32(same, vceqq_f32(x.v[i], x.v[i]));
  return vminvq_u32(same) == 0;
}
SIMD_INLINE bool any_nan(f64x8 x) {
  uint64x2_t same = vdupq_n_u64(~0ull);
  UNROLL for (int i = 0; i < 4; i++) same = vandq_u64(same, vceqq_f64(x.v[i], x.v[i]));
  return (vgetq_lane_u64(same, 0) & vgetq_lane_u64(same, 1)) == 0;
}

}  // namespace

#include "neon_lanes.h"
