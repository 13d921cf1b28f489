// Sixteen unsigned bytes in one v128. scalar_bytes.h says what each function means.
#pragma once

namespace {

struct u8x16 {
  v128_t v;
};

SIMD_INLINE u8x16 load_u8(const uint8_t* p) { return {wasm_v128_load(p)}; }
template <int kShift, int kBits> SIMD_INLINE u8x16 bits_of(u8x16 x) {
  return {wasm_v128_and(kShift ? wasm_u8x16_shr(x.v, kShift) : x.v, wasm_i8x16_splat((1 << kBits) - 1))};
}
SIMD_INLINE u8x16 join_nibbles(u8x16 low, u8x16 high) { return {wasm_v128_or(low.v, wasm_i8x16_shl(high.v, 4))}; }
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) {
  return {wasm_i8x16_shuffle(x.v, y.v, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)};
}
SIMD_INLINE u8x16 zip_last(u8x16 x, u8x16 y) {
  return {wasm_i8x16_shuffle(x.v, y.v, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)};
}
SIMD_INLINE f32x16 floats_of(u8x16 x) {
  const v128_t low = wasm_u16x8_extend_low_u8x16(x.v), high = wasm_u16x8_extend_high_u8x16(x.v);
  return {{wasm_f32x4_convert_i32x4(wasm_u32x4_extend_low_u16x8(low)),
           wasm_f32x4_convert_i32x4(wasm_u32x4_extend_high_u16x8(low)),
           wasm_f32x4_convert_i32x4(wasm_u32x4_extend_low_u16x8(high)),
           wasm_f32x4_convert_i32x4(wasm_u32x4_extend_high_u16x8(high))}};
}
SIMD_INLINE u8x16 minus_32(u8x16 x) { return {wasm_i8x16_sub(x.v, wasm_i8x16_splat(32))}; }
SIMD_INLINE u8x16 of_words(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return {wasm_u32x4_make(a, b, c, d)};
}
SIMD_INLINE f32x16 signed_floats_of(u8x16 x) {
  const v128_t low = wasm_i16x8_extend_low_i8x16(x.v), high = wasm_i16x8_extend_high_i8x16(x.v);
  return {{wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(low)),
           wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(low)),
           wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(high)),
           wasm_f32x4_convert_i32x4(wasm_i32x4_extend_high_i16x8(high))}};
}
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  uint16_t half;
  COPY(&half, p, 2);
  const v128_t v = floats_of_halves(wasm_i32x4_splat(half));
  return {{v, v, v, v}};
}

}  // namespace
#include "nibbles.h"
