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
SIMD_INLINE u8x16 zip_first(u8x16 x, u8x16 y) { return {_mm_unpacklo_epi8(x.v, y.v)}; }
SIMD_INLINE u8x16 zip_last(u8x16 x, u8x16 y) { return {_mm_unpackhi_epi8(x.v, y.v)}; }
SIMD_INLINE f32x16 floats_of(u8x16 x) { return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x.v))}; }
SIMD_INLINE f32x16 signed_floats_of(u8x16 x) { return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(x.v))}; }
SIMD_INLINE u8x16 of_words(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return {_mm_set_epi32((int)d, (int)c, (int)b, (int)a)};
}
// Shifts of words bring each pair of bits to bits 4 and 5 of its byte, where the mask keeps it alone. Quarters are
// read from memory, as a conversion loads sixteen bytes at no cost.
SIMD_INLINE void six_bits(const uint8_t* low, const uint8_t* upper, u8x16* q) {
  const __m512i four = _mm512_set1_epi8(15), pair = _mm512_set1_epi8(48), bias = _mm512_set1_epi8(32);
  const __m512i nibbles = _mm512_loadu_si512(low);
  const __m256i pairs = _mm256_loadu_si256((const __m256i*)upper);
  const __m512i left =
      _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_slli_epi16(pairs, 4)), _mm256_slli_epi16(pairs, 2), 1);
  const __m512i right = _mm512_inserti64x4(_mm512_castsi256_si512(pairs), _mm256_srli_epi16(pairs, 2), 1);
  const __m512i a = _mm512_or_si512(_mm512_and_si512(nibbles, four), _mm512_and_si512(left, pair));
  const __m512i b =
      _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(nibbles, 4), four), _mm512_and_si512(right, pair));
  alignas(64) uint8_t bytes[128];
  _mm512_store_si512(bytes, _mm512_sub_epi8(a, bias));
  _mm512_store_si512(bytes + 64, _mm512_sub_epi8(b, bias));
  UNROLL for (int i = 0; i < 8; i++) q[i] = load_u8(bytes + 16 * i);
}
SIMD_INLINE f32x16 splat_half(const uint8_t* p) {
  int16_t half;
  COPY(&half, p, 2);
  return {_mm512_cvtph_ps(_mm256_set1_epi16(half))};
}
// A permutation reads the low four bits of an index: a table of sixteen values converts nibbles without masking.
struct NibbleMap {
  __m512 table;
};
SIMD_INLINE NibbleMap nibble_map(f32x16 zero, f32x16 scale, f32x16 offset) {
  const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  return {_mm512_fmadd_ps(_mm512_sub_ps(values, zero.v), scale.v, offset.v)};
}
SIMD_INLINE f32x16 low_nibbles(u8x16 x, const NibbleMap& map) {
  return {_mm512_permutexvar_ps(_mm512_cvtepu8_epi32(x.v), map.table)};
}
SIMD_INLINE f32x16 high_nibbles(u8x16 x, const NibbleMap& map) {
  return {_mm512_permutexvar_ps(_mm512_srli_epi32(_mm512_cvtepu8_epi32(x.v), 4), map.table)};
}
// Eight bytes are widened to sixteen lanes: the odd ones have the high nibble lowest.
SIMD_INLINE f32x16 of_pairs(const uint8_t* p, const NibbleMap& map) {
  const __m512i q = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i*)p));
  return {_mm512_permutexvar_ps(_mm512_or_si512(q, _mm512_slli_epi64(q, 28)), map.table)};
}
SIMD_INLINE void nibble_pairs(const uint8_t* p, const NibbleMap& a, const NibbleMap& b, f32x16* w) {
  w[0] = of_pairs(p, a);
  w[1] = of_pairs(p + 8, b);
}

}  // namespace
