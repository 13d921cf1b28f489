// Sixteen unsigned bytes in one xmm register. scalar_bytes.h says what each function means.
#pragma once

namespace {

struct u8x16 {
  __m128i v;
};

SIMD_INLINE u8x16 load_u8(const uint8_t* p) { return {_mm_loadu_si128((const __m128i*)p)}; }
template <int kShift, int kBits> SIMD_INLINE u8x16 bits_of(u8x16 x) {
  return {_mm_and_si128(_mm_srli_epi16(x.v, kShift), _mm_set1_epi8((char)((1 << kBits) - 1)))};
}
SIMD_INLINE u8x16 join_nibbles(u8x16 low, u8x16 high) { return {_mm_or_si128(low.v, _mm_slli_epi16(high.v, 4))}; }
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) { return {_mm_unpacklo_epi8(x.v, y.v)}; }
SIMD_INLINE u8x16 zip_last(u8x16 x, u8x16 y) { return {_mm_unpackhi_epi8(x.v, y.v)}; }
SIMD_INLINE f32x16 floats_of(u8x16 x) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x.v)),
          _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(x.v, 8)))};
}
SIMD_INLINE u8x16 minus_32(u8x16 x) { return {_mm_sub_epi8(x.v, _mm_set1_epi8(32))}; }
SIMD_INLINE u8x16 of_words(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return {_mm_set_epi32((int)d, (int)c, (int)b, (int)a)};
}
SIMD_INLINE f32x16 signed_floats_of(u8x16 x) {
  return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x.v)),
          _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(x.v, 8)))};
}
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  int16_t half;
  COPY(&half, p, 2);
  const __m256 v = _mm256_cvtph_ps(_mm_set1_epi16(half));
  return {v, v};
}

}  // namespace
#include "nibbles.h"
