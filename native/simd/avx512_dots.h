// Dot products of four bytes on AVX-512, with and without VNNI. scalar_dots.h says what each function means.
#pragma once

namespace {

struct i32x16 {
  __m512i v;
};
struct u8x64 {
  __m512i v;
};

// Stands before a loop over sixteen rows of 64 bytes, which are in registers here.
#define UNROLL_ROWS UNROLL
constexpr bool kMayFuse = true;
SIMD_INLINE uint8_t flip_of(bool is_fused) { return is_fused ? 0x80 : 0; }

SIMD_INLINE i32x16 splat_i32(int32_t a) { return {_mm512_set1_epi32(a)}; }
SIMD_INLINE i32x16 load_i32(const int32_t* p) { return {_mm512_load_si512(p)}; }
SIMD_INLINE i32x16 add_i32(i32x16 a, i32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
SIMD_INLINE f32x16 floats_of(i32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
SIMD_INLINE u8x64 load_u8x64(const uint8_t* p) { return {_mm512_load_si512(p)}; }
SIMD_INLINE void store_low_bytes(uint8_t* p, f32x16 a) {
  _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(a.v)));
}

// |w| is at most 128 and |x| at most 127, so that no pair of products, at most 32,512, saturates.
struct SignedDot {
  static ALWAYS i32x16 products(__m512i w, __m512i x) {
    const __m512i turned = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), _mm512_setzero_si512(), x);
    return {_mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_abs_epi8(w), turned), _mm512_set1_epi16(1))};
  }
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    int32_t four;
    COPY(&four, x, 4);
    return add_i32(sum, products(w.v, _mm512_set1_epi32(four)));
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) { return products(w.v, _mm512_loadu_si512(x)); }
};
using SmallDot = SignedDot;

// vpdpbusd sums four products of unsigned and signed bytes without saturation. The compiler would refuse the intrinsic
// in a function for processors without it; only Run::has_fused_dots leads here.
struct FusedDot {
#if defined(__GNUC__) || defined(__clang__)
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.v) : "v"(w.v), "m"(*(const int8_t(*)[4])x));
    return sum;
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) {
    i32x16 sum = splat_i32(0);
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(w.v), "m"(*(const int8_t(*)[64])x));
    return sum;
  }
#else
  static ALWAYS i32x16 add(i32x16 sum, u8x64 w, const int8_t* x) {
    int32_t four;
    COPY(&four, x, 4);
    return {_mm512_dpbusd_epi32(sum.v, w.v, _mm512_set1_epi32(four))};
  }
  static ALWAYS i32x16 of_row(u8x64 w, const int8_t* x) {
    return {_mm512_dpbusd_epi32(_mm512_setzero_si512(), w.v, _mm512_loadu_si512(x))};
  }
#endif
};

SIMD_INLINE __m512i add_halves(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}
SIMD_INLINE __m512i add_turned(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}
SIMD_INLINE void store_sums_of_4(int32_t* to, const i32x16* rows) {
  __m512i four[4];  // rows 4i … 4i + 3, for each of the four sums
  UNROLL for (int i = 0; i < 4; i++) {
    const i32x16* r = rows + 4 * i;
    four[i] = add_halves(add_turned(r[0].v, r[1].v), add_turned(r[2].v, r[3].v));
  }
  UNROLL for (int i = 0; i < 2; i++) {
    const __m512i a = i ? _mm512_shuffle_i32x4(four[0], four[1], 0xDD) : _mm512_shuffle_i32x4(four[0], four[1], 0x88);
    const __m512i b = i ? _mm512_shuffle_i32x4(four[2], four[3], 0xDD) : _mm512_shuffle_i32x4(four[2], four[3], 0x88);
    _mm512_store_si512(to + 16 * i, _mm512_shuffle_i32x4(a, b, 0x88));
    _mm512_store_si512(to + 16 * i + 32, _mm512_shuffle_i32x4(a, b, 0xDD));
  }
}

// 64 columns of a row of weights, as dot_rows.h has them.
SIMD_INLINE __m512i two_of(const uint8_t* first, const uint8_t* second) {
  const __m256i low = _mm256_loadu_si256((const __m256i*)first);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_loadu_si256((const __m256i*)second), 1);
}
SIMD_INLINE u8x64 bytes_of_row(const uint8_t* first, const uint8_t* second, uint8_t flip) {
  return {_mm512_xor_si512(two_of(first, second), _mm512_set1_epi8((char)flip))};
}
// Two vectors of 32 bytes, shifted right by so many bits each.
template <int kFirst, int kSecond> SIMD_INLINE __m512i shifted(__m256i first, __m256i second) {
  const __m256i low = kFirst ? _mm256_srli_epi16(first, kFirst) : first;
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), kSecond ? _mm256_srli_epi16(second, kSecond) : second, 1);
}
SIMD_INLINE u8x64 nibbles_by_16(const uint8_t* first, const uint8_t* second) {
  const __m128i a = _mm_loadu_si128((const __m128i*)first), b = _mm_loadu_si128((const __m128i*)second);
  const __m256i both = _mm256_set_m128i(_mm_srli_epi16(a, 4), a), other = _mm256_set_m128i(_mm_srli_epi16(b, 4), b);
  return {_mm512_and_si512(shifted<0, 0>(both, other), _mm512_set1_epi8(15))};
}
SIMD_INLINE u8x64 nibbles_by_32(const uint8_t* p) {
  const __m256i all = _mm256_loadu_si256((const __m256i*)p);
  return {_mm512_and_si512(shifted<0, 4>(all, all), _mm512_set1_epi8(15))};
}
SIMD_INLINE u8x64 nibbles_by_1(const uint8_t* p) {
  const __m512i words = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i*)p));
  return {_mm512_and_si512(_mm512_or_si512(words, _mm512_slli_epi16(words, 4)), _mm512_set1_epi8(15))};
}
template <bool kIsHigh> SIMD_INLINE u8x64 six_bits_of_row(const uint8_t* low, const uint8_t* upper) {
  const __m512i all = _mm512_loadu_si512(low), nibbles = kIsHigh ? _mm512_srli_epi16(all, 4) : all;
  const __m256i bits = _mm256_loadu_si256((const __m256i*)upper);
  const __m512i pairs =
      kIsHigh ? shifted<0, 2>(bits, bits)
              : _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_slli_epi16(bits, 4)), _mm256_slli_epi16(bits, 2), 1);
  return {
      _mm512_or_si512(_mm512_and_si512(nibbles, _mm512_set1_epi8(15)), _mm512_and_si512(pairs, _mm512_set1_epi8(48)))};
}
SIMD_INLINE void store_side_by_side(uint8_t* to, const u8x64* rows) {
  alignas(64) __m512i memory[16];
  UNROLL for (int r = 0; r < 16; r++) memory[r] = rows[r].v;
  transpose16((const float*)memory, 16, (float*)to);
}

}  // namespace
