// Sixteen unsigned bytes in one q register. scalar_bytes.h says what each function means.
#pragma once

namespace {

struct u8x16 {
  uint8x16_t v;
};

SIMD_INLINE u8x16 load_u8(const uint8_t* p) { return {vld1q_u8(p)}; }
template <int kShift, int kBits> SIMD_INLINE u8x16 bits_of(u8x16 x) {
  constexpr int kRight = kShift ? kShift : 1;  // a shift by 0 is no instruction
  return {vandq_u8(kShift ? vshrq_n_u8(x.v, kRight) : x.v, vdupq_n_u8((1 << kBits) - 1))};
}
SIMD_INLINE u8x16 join_nibbles(u8x16 low, u8x16 high) { return {vorrq_u8(low.v, vshlq_n_u8(high.v, 4))}; }
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) { return {vzip1q_u8(x.v, y.v)}; }
SIMD_INLINE u8x16 zip_last(u8x16 x, u8x16 y) { return {vzip2q_u8(x.v, y.v)}; }
SIMD_INLINE f32x16 floats_of(u8x16 x) {
  const uint16x8_t low = vmovl_u8(vget_low_u8(x.v)), high = vmovl_high_u8(x.v);
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))}};
}
SIMD_INLINE u8x16 minus_32(u8x16 x) { return {vsubq_u8(x.v, vdupq_n_u8(32))}; }
SIMD_INLINE u8x16 of_words(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return {vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(a | (uint64_t)b << 32), vcreate_u64(c | (uint64_t)d << 32)))};
}
SIMD_INLINE f32x16 signed_floats_of(u8x16 x) {
  const int8x16_t s = vreinterpretq_s8_u8(x.v);
  const int16x8_t low = vmovl_s8(vget_low_s8(s)), high = vmovl_high_s8(s);
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_high_s16(low)),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_high_s16(high))}};
}
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  uint16_t half;
  COPY(&half, p, 2);
  const float32x4_t v = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half)));
  return {{v, v, v, v}};
}

}  // namespace
#include "nibbles.h"
