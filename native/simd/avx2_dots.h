// Dot products of four bytes on AVX2. scalar_dots.h says what each function means.
#pragma once

namespace {

struct i32x16 {
  __m256i a, b;
};
struct u8x64 {
  __m256i a, b;
};

#define UNROLL_ROWS
constexpr bool kMayFuse = false;
SIMD_INLINE uint8_t flip_of(bool) { return 0; }

SIMD_INLINE i32x16 splat_i32(int32_t a) {
  const __m256i v = _mm256_set1_epi32(a);
  return {v, v};
}
SIMD_INLINE i32x16 load_i32(const int32_t* p) {
  return {_mm256_load_si256((const __m256i*)p), _mm256_load_si256((const __m256i*)(p + 8))};
}
SIMD_INLINE i32x16 add_i32(i32x16 x, i32x16 y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
SIMD_INLINE f32x16 floats_of(i32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
SIMD_INLINE u8x64 load_u8x64(const uint8_t* p) {
  return {_mm256_load_si256((const __m256i*)p), _mm256_load_si256((const __m256i*)(p + 32))};
}
SIMD_INLINE void store_u8x64(uint8_t* p, u8x64 x) {
  _mm256_store_si256((__m256i*)p, x.a);
  _mm256_store_si256((__m256i*)(p + 32), x.b);
}
SIMD_INLINE u8x64 join(u8x16 a, u8x16 b, u8x16 c, u8x16 d) {
  return {_mm256_set_m128i(b.v, a.v), _mm256_set_m128i(d.v, c.v)};
}
SIMD_INLINE u8x16 xor_all(u8x16 x, uint8_t bits) { return {_mm_xor_si128(x.v, _mm_set1_epi8((char)bits))}; }
SIMD_INLINE void store_low_bytes(uint8_t* p, f32x16 x) {
  const __m256i low = _mm256_set1_epi32(255);
  const __m256i a = _mm256_and_si256(_mm256_castps_si256(x.a), low),
                b = _mm256_and_si256(_mm256_castps_si256(x.b), low);
  // Lanes 0–3, 8–11, 4–7, 12–15 as words, then as bytes of each half.
  const __m256i words = _mm256_packus_epi32(a, b), bytes = _mm256_packus_epi16(words, words);
  _mm_storeu_si128((__m128i*)p, _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
}

// |w| is at most 128 and |x| at most 127, so that no pair of products, at most 32,512, saturates.
template <bool kIsSmall> struct ByteDot {
  static ALWAYS __m256i products(__m256i w, __m256i x) {
    const __m256i pairs =
        _mm256_maddubs_epi16(kIsSmall ? w : _mm256_abs_epi8(w), kIsSmall ? x : _mm256_sign_epi8(x, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    int32_t four;
    COPY(&four, x, 4);
    const __m256i all = _mm256_set1_epi32(four);
    return add_i32(sum, {products(w.a, all), products(w.b, all)});
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) {
    const __m256i* at = (const __m256i*)x;
    return {products(w.a, _mm256_loadu_si256(at)), products(w.b, _mm256_loadu_si256(at + 1))};
  }
};
using SignedDot = ByteDot<false>;
using SmallDot = ByteDot<true>;
using FusedDot = SignedDot;

SIMD_INLINE __m256i add_four(__m256i a, __m256i b, __m256i c, __m256i d) {
  return _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
}
SIMD_INLINE void store_sums_of_4(int32_t* to, const i32x16* rows) {
  __m256i* at = (__m256i*)to;  // [4, 2]: eight rows each
  UNROLL for (int i = 0; i < 2; i++) {
    const i32x16* r = rows + 8 * i;
    const __m256i a = add_four(r[0].a, r[1].a, r[2].a, r[3].a), b = add_four(r[4].a, r[5].a, r[6].a, r[7].a);
    const __m256i c = add_four(r[0].b, r[1].b, r[2].b, r[3].b), d = add_four(r[4].b, r[5].b, r[6].b, r[7].b);
    _mm256_store_si256(at + i, _mm256_permute2x128_si256(a, b, 0x20));
    _mm256_store_si256(at + 2 + i, _mm256_permute2x128_si256(a, b, 0x31));
    _mm256_store_si256(at + 4 + i, _mm256_permute2x128_si256(c, d, 0x20));
    _mm256_store_si256(at + 6 + i, _mm256_permute2x128_si256(c, d, 0x31));
  }
}

}  // namespace
#include "dot_rows.h"
