// Sixteen unsigned bytes: fields of bits in them, and their values as floats. The headers of this name define the same
// functions on each instruction set.
#pragma once

namespace {

struct u8x16 {
  uint8_t v[16];
};

SIMD_INLINE u8x16 load_u8(const uint8_t* p) {
  u8x16 r;
  COPY(r.v, p, 16);
  return r;
}
// kBits bits of each byte, from bit kShift on.
template <int kShift, int kBits> SIMD_INLINE u8x16 bits_of(u8x16 x) {
  for (uint8_t& each : x.v) each = (uint8_t)(each >> kShift & ((1 << kBits) - 1));
  return x;
}
// low + 16 · high, both below 16.
SIMD_INLINE u8x16 join_nibbles(u8x16 low, u8x16 high) {
  for (int i = 0; i < 16; i++) low.v[i] = (uint8_t)(low.v[i] | high.v[i] << 4);
  return low;
}
// x[0], y[0], x[1], y[1] … of their first eight bytes.
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) {
  u8x16 r;
  for (int i = 0; i < 8; i++) r.v[2 * i] = x.v[i], r.v[2 * i + 1] = y.v[i];
  return r;
}
// The same of their last eight bytes.
SIMD_INLINE u8x16 zip_last(u8x16 x, u8x16 y) {
  u8x16 r;
  for (int i = 0; i < 8; i++) r.v[2 * i] = x.v[8 + i], r.v[2 * i + 1] = y.v[8 + i];
  return r;
}
SIMD_INLINE f32x16 floats_of(u8x16 x) {
  f32x16 r;
  for (int i = 0; i < 16; i++) r.v[i] = x.v[i];
  return r;
}
SIMD_INLINE u8x16 minus_32(u8x16 x) {
  for (uint8_t& each : x.v) each = (uint8_t)(each - 32);
  return x;
}
SIMD_INLINE u8x16 of_words(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const uint32_t words[4] = {a, b, c, d};
  return load_u8((const uint8_t*)words);
}
SIMD_INLINE f32x16 signed_floats_of(u8x16 x) {
  f32x16 r;
  for (int i = 0; i < 16; i++) r.v[i] = (int8_t)x.v[i];
  return r;
}
// The float16 at p in all lanes. p need not be aligned.
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  uint16_t all[16];
  for (uint16_t& each : all) COPY(&each, p, 2);
  return load_half(all);
}

}  // namespace
#include "nibbles.h"
