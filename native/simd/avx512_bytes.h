// Sixteen unsigned bytes in one xmm register. scalar_bytes.h says what each function means.
#pragma once

namespace {

struct u8x16 {
  __m128i v;
};

SIMD_INLINE u8x16 load_u8(const uint8_t* p) { return {_mm_loadu_si128((const __m128i*)p)}; }
SIMD_INLINE u8x16 load_u8_half(const uint8_t* p) { return {_mm_loadl_epi64((const __m128i*)p)}; }
template <int kShift, int kBits> SIMD_INLINE u8x16 bits_of(u8x16 x) {
  return {_mm_and_si128(_mm_srli_epi16(x.v, kShift), _mm_set1_epi8((char)((1 << kBits) - 1)))};
}
SIMD_INLINE u8x16 join_nibbles(u8x16 low, u8x16 high) { return {_mm_or_si128(low.v, _mm_slli_epi16(high.v, 4))}; }
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) { return {_mm_unpacklo_epi8(x.v, y.v)}; }
SIMD_INLINE f32x16 floats_of(u8x16 x) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x.v))}; }
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  int16_t half;
  COPY(&half, p, 2);
  return {_mm512_cvtph_ps(_mm256_set1_epi16(half))};
}
// A permutation reads the low four bits of an index: a table of 0 … 15 converts these without masking.
SIMD_INLINE void floats_of_nibbles(u8x16 x, f32x16& low, f32x16& high) {
  const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i index = _mm512_cvtepu8_epi32(x.v);
  low.v = _mm512_permutexvar_ps(index, values);
  high.v = _mm512_permutexvar_ps(_mm512_srli_epi32(index, 4), values);
}

}  // namespace
