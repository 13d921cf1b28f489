// Dot products of four bytes on NEON. scalar_dots.h says what each function means.
#pragma once

namespace {

struct i32x16 {
  int32x4_t v[4];
};
struct u8x64 {
  int8x16_t v[4];
};

#define UNROLL_ROWS
constexpr bool kMayFuse = false;
SIMD_INLINE uint8_t flip_of(bool) { return 0; }

SIMD_INLINE i32x16 splat_i32(int32_t a) {
  const int32x4_t v = vdupq_n_s32(a);
  return {{v, v, v, v}};
}
SIMD_INLINE i32x16 load_i32(const int32_t* p) {
  i32x16 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = vld1q_s32(p + 4 * i);
  return r;
}
SIMD_INLINE i32x16 add_i32(i32x16 x, i32x16 y) {
  i32x16 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = vaddq_s32(x.v[i], y.v[i]);
  return r;
}
SIMD_INLINE f32x16 floats_of(i32x16 x) {
  f32x16 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = vcvtq_f32_s32(x.v[i]);
  return r;
}
SIMD_INLINE u8x64 load_u8x64(const uint8_t* p) {
  u8x64 r;
  UNROLL for (int i = 0; i < 4; i++) r.v[i] = vld1q_s8((const int8_t*)p + 16 * i);
  return r;
}
SIMD_INLINE void store_u8x64(uint8_t* p, u8x64 x) {
  UNROLL for (int i = 0; i < 4; i++) vst1q_s8((int8_t*)p + 16 * i, x.v[i]);
}
SIMD_INLINE u8x64 join(u8x16 a, u8x16 b, u8x16 c, u8x16 d) {
  return {{vreinterpretq_s8_u8(a.v), vreinterpretq_s8_u8(b.v), vreinterpretq_s8_u8(c.v), vreinterpretq_s8_u8(d.v)}};
}
SIMD_INLINE u8x16 xor_all(u8x16 x, uint8_t bits) { return {veorq_u8(x.v, vdupq_n_u8(bits))}; }
SIMD_INLINE void store_low_bytes(uint8_t* p, f32x16 x) {
  uint16x4_t words[4];
  UNROLL for (int i = 0; i < 4; i++) words[i] = vmovn_u32(vreinterpretq_u32_f32(x.v[i]));
  vst1_u8(p, vmovn_u16(vcombine_u16(words[0], words[1])));
  vst1_u8(p + 8, vmovn_u16(vcombine_u16(words[2], words[3])));
}

// A pair of products is at most 2 · 128 · 127: 16 bits hold it.
struct SignedDot {
  static ALWAYS int32x4_t add_products(int32x4_t sum, int8x16_t w, int8x16_t x) {
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
  }
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    int32_t four;
    COPY(&four, x, 4);
    const int8x16_t all = vreinterpretq_s8_s32(vdupq_n_s32(four));
    UNROLL for (int i = 0; i < 4; i++) sum.v[i] = add_products(sum.v[i], w.v[i], all);
    return sum;
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) {
    i32x16 r;
    UNROLL for (int i = 0; i < 4; i++) r.v[i] = add_products(vdupq_n_s32(0), w.v[i], vld1q_s8(x + 16 * i));
    return r;
  }
};
using SmallDot = SignedDot;
using FusedDot = SignedDot;

SIMD_INLINE void store_sums_of_4(int32_t* to, const i32x16* rows) {
  UNROLL for (int i = 0; i < 4; i++) UNROLL for (int r = 0; r < 16; r += 4) {
    const int32x4_t first = vpaddq_s32(rows[r].v[i], rows[r + 1].v[i]);
    vst1q_s32(to + 16 * i + r, vpaddq_s32(first, vpaddq_s32(rows[r + 2].v[i], rows[r + 3].v[i])));
  }
}

}  // namespace
#include "dot_rows.h"
