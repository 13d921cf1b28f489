// f32x16 and f64x8 on AVX-512 (F, BW, DQ, VL): one zmm register each.
// The four headers of this folder define the same functions with the same results to the last bit; scalar.h says what
// each function means.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)  // GCC warns of undefined vectors in its own header (bug 105593)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif
#include <stddef.h>
#include <stdint.h>

#include "inline.h"

namespace {

struct f32x16 {
  __m512 v;
};
struct f64x8 {
  __m512d v;
};
constexpr int kVectors = 32, kRegisters = 1;  // f32x16 that the processor holds; its registers in one f32x16

// Keeps v in a register, loaded at this place of the code. GCC would load it again for each use.
#if defined(__GNUC__)
#define KEEP(x) __asm__ volatile("" : "+v"((x).v))
#else
#define KEEP(x) ((void)0)
#endif

// Memory. The `_n` forms touch the first n lanes only: nothing past the end of a buffer is read or written.
SIMD_INLINE __mmask16 first_f32(size_t n) { return (__mmask16)((1u << n) - 1); }
SIMD_INLINE __mmask8 first_f64(size_t n) { return (__mmask8)((1u << n) - 1); }
SIMD_INLINE f32x16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
SIMD_INLINE f64x8 load(const double* p) { return {_mm512_loadu_pd(p)}; }
SIMD_INLINE f32x16 load_n(const float* p, size_t n, float rest) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(rest), first_f32(n), p)};
}
SIMD_INLINE f64x8 load_n(const double* p, size_t n, double rest) {
  return {_mm512_mask_loadu_pd(_mm512_set1_pd(rest), first_f64(n), p)};
}
SIMD_INLINE void store(float* p, f32x16 a) { _mm512_storeu_ps(p, a.v); }
SIMD_INLINE void store(double* p, f64x8 a) { _mm512_storeu_pd(p, a.v); }
SIMD_INLINE void store_n(float* p, f32x16 a, size_t n) { _mm512_mask_storeu_ps(p, first_f32(n), a.v); }
SIMD_INLINE void store_n(double* p, f64x8 a, size_t n) { _mm512_mask_storeu_pd(p, first_f64(n), a.v); }
SIMD_INLINE void stream(float* p, f32x16 a) { _mm512_stream_ps(p, a.v); }
SIMD_INLINE void stream(double* p, f64x8 a) { _mm512_stream_pd(p, a.v); }
SIMD_INLINE void stream_end() { _mm_sfence(); }
SIMD_INLINE void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T0); }

// Arithmetic.
SIMD_INLINE f32x16 splat(float a) { return {_mm512_set1_ps(a)}; }
SIMD_INLINE f64x8 splat(double a) { return {_mm512_set1_pd(a)}; }
SIMD_INLINE f32x16 add(f32x16 a, f32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
SIMD_INLINE f64x8 add(f64x8 a, f64x8 b) { return {_mm512_add_pd(a.v, b.v)}; }
SIMD_INLINE f32x16 sub(f32x16 a, f32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
SIMD_INLINE f64x8 sub(f64x8 a, f64x8 b) { return {_mm512_sub_pd(a.v, b.v)}; }
SIMD_INLINE f32x16 mul(f32x16 a, f32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
SIMD_INLINE f64x8 mul(f64x8 a, f64x8 b) { return {_mm512_mul_pd(a.v, b.v)}; }
SIMD_INLINE f32x16 fma(f32x16 a, f32x16 b, f32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
SIMD_INLINE f64x8 fma(f64x8 a, f64x8 b, f64x8 c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
SIMD_INLINE f32x16 div(f32x16 a, f32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
SIMD_INLINE f64x8 div(f64x8 a, f64x8 b) { return {_mm512_div_pd(a.v, b.v)}; }
// x86 min/max return the second operand where either is a NaN, so the order of operands decides whether a NaN is kept.
SIMD_INLINE f32x16 max_keep_nan(f32x16 low, f32x16 x) { return {_mm512_max_ps(low.v, x.v)}; }
SIMD_INLINE f64x8 max_keep_nan(f64x8 low, f64x8 x) { return {_mm512_max_pd(low.v, x.v)}; }
SIMD_INLINE f32x16 max_skip_nan(f32x16 acc, f32x16 x) { return {_mm512_max_ps(x.v, acc.v)}; }
SIMD_INLINE f64x8 max_skip_nan(f64x8 acc, f64x8 x) { return {_mm512_max_pd(x.v, acc.v)}; }

// first_n: the first n lanes, zero behind them. zero_below: a where x is not below `low` (a NaN is not), else zero.
SIMD_INLINE f32x16 first_n(f32x16 a, size_t n) { return {_mm512_maskz_mov_ps(first_f32(n), a.v)}; }
SIMD_INLINE f64x8 first_n(f64x8 a, size_t n) { return {_mm512_maskz_mov_pd(first_f64(n), a.v)}; }
SIMD_INLINE f32x16 zero_below(f32x16 a, f32x16 x, f32x16 low) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, low.v, _CMP_NLT_UQ), a.v)};
}
SIMD_INLINE f64x8 zero_below(f64x8 a, f64x8 x, f64x8 low) {
  return {_mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x.v, low.v, _CMP_NLT_UQ), a.v)};
}
// x, zero in place of a NaN.
SIMD_INLINE f32x16 zero_nan(f32x16 x) { return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, x.v, _CMP_ORD_Q), x.v)}; }
SIMD_INLINE f64x8 zero_nan(f64x8 x) { return {_mm512_maskz_mov_pd(_mm512_cmp_pd_mask(x.v, x.v, _CMP_ORD_Q), x.v)}; }
SIMD_INLINE f64x8 add_from(f64x8 sum, f64x8 a, f64x8 x, f64x8 low) {
  return {_mm512_mask_add_pd(sum.v, _mm512_cmp_pd_mask(x.v, low.v, _CMP_NLT_UQ), sum.v, a.v)};
}
// a in the lanes whose bit is set, b in the others.
SIMD_INLINE f32x16 select_bits(f32x16 a, f32x16 b, uint32_t lanes) {
  return {_mm512_mask_mov_ps(b.v, (__mmask16)lanes, a.v)};
}
SIMD_INLINE f64x8 select_bits(f64x8 a, f64x8 b, uint32_t lanes) {
  return {_mm512_mask_mov_pd(b.v, (__mmask8)lanes, a.v)};
}
// A bit for each lane of a that is greater than b's, or equal to it.
SIMD_INLINE uint32_t lanes_above(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
SIMD_INLINE uint32_t lanes_equal(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ); }
SIMD_INLINE uint32_t lanes_outside(f32x16 a, f32x16 low, f32x16 high) {
  return (uint32_t)(_mm512_cmp_ps_mask(a.v, high.v, _CMP_NLE_UQ) | _mm512_cmp_ps_mask(a.v, low.v, _CMP_NGE_UQ));
}
SIMD_INLINE uint32_t lanes_above(f64x8 a, f64x8 b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ); }
// Writes the lanes whose bits are set to `to`, without gaps; a whole vector may be written there. `from` is where the
// vector was loaded. Returns how many lanes these are.
SIMD_INLINE unsigned pack(float* to, const float*, f32x16 v, uint32_t lanes) {
  return _mm512_storeu_ps(to, _mm512_maskz_compress_ps((__mmask16)lanes, v.v)), (unsigned)_mm_popcnt_u32(lanes);
}
SIMD_INLINE unsigned pack(double* to, const double*, f64x8 v, uint32_t lanes) {
  return _mm512_storeu_pd(to, _mm512_maskz_compress_pd((__mmask8)lanes, v.v)), (unsigned)_mm_popcnt_u32(lanes);
}

// Bits.
SIMD_INLINE f32x16 lookup8(const float* table, f32x16 index) {
  return {_mm512_permutexvar_ps(_mm512_castps_si512(index.v), _mm512_broadcast_f32x8(_mm256_load_ps(table)))};
}
SIMD_INLINE f64x8 lookup8(const double* table, f64x8 index) {
  return {_mm512_permutexvar_pd(_mm512_castpd_si512(index.v), _mm512_load_pd(table))};
}
SIMD_INLINE f32x16 add_shifted(f32x16 a, f32x16 b) {
  return {
      _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a.v), _mm512_slli_epi32(_mm512_castps_si512(b.v), 20)))};
}
SIMD_INLINE f64x8 add_shifted(f64x8 a, f64x8 b) {
  return {
      _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a.v), _mm512_slli_epi64(_mm512_castpd_si512(b.v), 49)))};
}
SIMD_INLINE f64x8 add_integers(f64x8 a, f64x8 b) {
  return {_mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a.v), _mm512_castpd_si512(b.v)))};
}
SIMD_INLINE f64x8 octaves_of(f64x8 a) { return {_mm512_getexp_pd(a.v)}; }
SIMD_INLINE f64x8 mantissas_of(f64x8 a) { return {_mm512_getmant_pd(a.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)}; }
SIMD_INLINE f32x16 or_bits(f32x16 a, f32x16 b, f32x16 c) {
  return {_mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(_mm512_castps_si512(a.v), _mm512_castps_si512(b.v), _mm512_castps_si512(c.v), 0xFE))};
}
SIMD_INLINE f64x8 or_bits(f64x8 a, f64x8 b, f64x8 c) {
  return {_mm512_castsi512_pd(
      _mm512_ternarylogic_epi64(_mm512_castpd_si512(a.v), _mm512_castpd_si512(b.v), _mm512_castpd_si512(c.v), 0xFE))};
}
SIMD_INLINE bool any_bits(f32x16 a, uint32_t mask) {
  return _mm512_test_epi32_mask(_mm512_castps_si512(a.v), _mm512_set1_epi32((int)mask)) != 0;
}
SIMD_INLINE bool any_bits(f64x8 a, uint64_t mask) {
  return _mm512_test_epi64_mask(_mm512_castpd_si512(a.v), _mm512_set1_epi64((long long)mask)) != 0;
}
SIMD_INLINE bool any_nan(f32x16 a) { return _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q) != 0; }
SIMD_INLINE bool any_nan(f64x8 a) { return _mm512_cmp_pd_mask(a.v, a.v, _CMP_UNORD_Q) != 0; }

// Reductions. The order of the additions is part of the result: the two halves first, then their halves, down to one
// lane.
SIMD_INLINE f64x8 low_f64(f32x16 a) { return {_mm512_cvtps_pd(_mm512_castps512_ps256(a.v))}; }
SIMD_INLINE f64x8 high_f64(f32x16 a) { return {_mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1))}; }
SIMD_INLINE f32x16 narrow(f64x8 low, f64x8 high) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.v)), _mm512_cvtpd_ps(high.v), 1)};
}
SIMD_INLINE double reduce_add(f64x8 a) {
  __m256d h = _mm256_add_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}
SIMD_INLINE float reduce_max(f32x16 a) {
  __m256 h = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
SIMD_INLINE double reduce_max(f64x8 a) {
  __m256d h = _mm256_max_pd(_mm512_castpd512_pd256(a.v), _mm512_extractf64x4_pd(a.v, 1));
  __m128d q = _mm_max_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  return _mm_cvtsd_f64(_mm_max_sd(q, _mm_unpackhi_pd(q, q)));
}

// Transposes sixteen rows of sixteen floats, `stride` apart, into sixteen adjacent rows.
SIMD_INLINE void transpose16(const float* rows, size_t stride, float* out) {
  __m512 a[16], b[16];
  UNROLL
  for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_ps(rows + i * stride);
  UNROLL
  for (int i = 0; i < 16; i += 2)
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]), b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  UNROLL
  for (int i = 0; i < 16; i += 4) UNROLL
  for (int j = 0; j < 2; j++) {
    __m512d x = _mm512_castps_pd(b[i + j]), y = _mm512_castps_pd(b[i + j + 2]);
    a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y)),
              a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
  }
  UNROLL
  for (int j = 0; j < 4; j++) {  // rows 4i … 4i + 3 of columns j, j + 4, j + 8, j + 12 lie in a[4i + j]
    __m512 low = _mm512_shuffle_f32x4(a[j], a[j + 4], 0x88), high = _mm512_shuffle_f32x4(a[j + 8], a[j + 12], 0x88);
    __m512 low2 = _mm512_shuffle_f32x4(a[j], a[j + 4], 0xDD), high2 = _mm512_shuffle_f32x4(a[j + 8], a[j + 12], 0xDD);
    _mm512_storeu_ps(out + 16 * j, _mm512_shuffle_f32x4(low, high, 0x88)),
        _mm512_storeu_ps(out + 16 * (j + 8), _mm512_shuffle_f32x4(low, high, 0xDD));
    _mm512_storeu_ps(out + 16 * (j + 4), _mm512_shuffle_f32x4(low2, high2, 0x88)),
        _mm512_storeu_ps(out + 16 * (j + 12), _mm512_shuffle_f32x4(low2, high2, 0xDD));
  }
}

// Sixteen half floats or signed bytes in memory: `half` is float16, `brain` is bfloat16. Stores round to nearest, ties
// to even.
SIMD_INLINE f32x16 load_half(const uint16_t* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p))}; }
SIMD_INLINE void store_half(uint16_t* p, f32x16 a) {
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
SIMD_INLINE f32x16 load_brain(const uint16_t* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p)), 16))};
}
SIMD_INLINE void store_brain(uint16_t* p, f32x16 a) {
  __m512i u = _mm512_castps_si512(a.v), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
  __m512i r = _mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
  r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q), u, _mm512_set1_epi32(0x400000));
  // The odd words. _mm512_cvtepi32_epi16 of a shifted r takes longer.
  const __m512i odd_words = _mm512_set_epi16(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                             31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  _mm256_storeu_si256((__m256i*)p, _mm512_castsi512_si256(_mm512_permutexvar_epi16(odd_words, r)));
}
SIMD_INLINE f32x16 load_bytes(const int8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)))};
}

}  // namespace
