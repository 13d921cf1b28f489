// Sixteen unsigned bytes in one q register. scalar_bytes.h says what each function means.
#pragma once

namespace {

struct u8x16 {
  uint8x16_t v;
};

SIMD_INLINE u8x16 load_u8(const uint8_t* p) { return {vld1q_u8(p)}; }
SIMD_INLINE u8x16 load_u8_half(const uint8_t* p) { return {vcombine_u8(vld1_u8(p), vdup_n_u8(0))}; }
template <int kShift, int kBits> SIMD_INLINE u8x16 bits_of(u8x16 x) {
  constexpr int kRight = kShift ? kShift : 1;  // a shift by 0 is no instruction
  return {vandq_u8(kShift ? vshrq_n_u8(x.v, kRight) : x.v, vdupq_n_u8((1 << kBits) - 1))};
}
SIMD_INLINE u8x16 join_nibbles(u8x16 low, u8x16 high) { return {vorrq_u8(low.v, vshlq_n_u8(high.v, 4))}; }
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) { return {vzip1q_u8(x.v, y.v)}; }
SIMD_INLINE f32x16 floats_of(u8x16 x) {
  const uint16x8_t low = vmovl_u8(vget_low_u8(x.v)), high = vmovl_high_u8(x.v);
  return {{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_high_u16(low)),
           vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_high_u16(high))}};
}
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  uint16_t half;
  COPY(&half, p, 2);
  const float32x4_t v = vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(half)));
  return {{v, v, v, v}};
}
SIMD_INLINE void floats_of_nibbles(u8x16 x, f32x16& low, f32x16& high) {
  low = floats_of(bits_of<0, 4>(x));
  high = floats_of(bits_of<4, 4>(x));
}

}  // namespace
