// f32x16 and f64x8 on AVX2 with FMA: two ymm registers each. scalar.h says what each function means.
#pragma once
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "inline.h"

namespace {

struct f32x16 {
  __m256 a, b;
};
struct f64x8 {
  __m256d a, b;
};
constexpr int kVectors = 8, kRegisters = 2;  // f32x16 that the processor holds; its registers in one f32x16

// A sliding window over this table is the mask of the first n lanes.
alignas(64) const int32_t kFirst[48] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                        0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0};
SIMD_INLINE __m256i first_lanes(size_t n32, size_t from32) {
  return _mm256_loadu_si256((const __m256i*)(kFirst + 32 - n32 + from32));
}

#if defined(__GNUC__)
#define KEEP(x) __asm__ volatile("" : "+x"((x).a), "+x"((x).b))
#else
#define KEEP(x) ((void)0)
#endif

// Memory.
SIMD_INLINE f32x16 load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
SIMD_INLINE f64x8 load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
SIMD_INLINE f32x16 load_n(const float* p, size_t n, float rest) {
  __m256i m = first_lanes(n, 0), k = first_lanes(n, 8);
  __m256 r = _mm256_set1_ps(rest);
  return {_mm256_blendv_ps(r, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m)),
          _mm256_blendv_ps(r, _mm256_maskload_ps(p + 8, k), _mm256_castsi256_ps(k))};
}
SIMD_INLINE f64x8 load_n(const double* p, size_t n, double rest) {
  __m256i m = first_lanes(2 * n, 0), k = first_lanes(2 * n, 8);
  __m256d r = _mm256_set1_pd(rest);
  return {_mm256_blendv_pd(r, _mm256_maskload_pd(p, m), _mm256_castsi256_pd(m)),
          _mm256_blendv_pd(r, _mm256_maskload_pd(p + 4, k), _mm256_castsi256_pd(k))};
}
SIMD_INLINE void store(float* p, f32x16 x) { _mm256_storeu_ps(p, x.a), _mm256_storeu_ps(p + 8, x.b); }
SIMD_INLINE void store(double* p, f64x8 x) { _mm256_storeu_pd(p, x.a), _mm256_storeu_pd(p + 4, x.b); }
// Stores by halves of halves: 5 cycles on Zen. A masked store takes 13.
SIMD_INLINE void store_n(float* p, f32x16 x, size_t n) {
  __m256 h = x.a;
  if (n & 16) return store(p, x);
  if (n & 8) _mm256_storeu_ps(p, h), p += 8, h = x.b;
  __m128 q = _mm256_castps256_ps128(h);
  if (n & 4) _mm_storeu_ps(p, q), p += 4, q = _mm256_extractf128_ps(h, 1);
  if (n & 2) _mm_storel_pi((__m64*)p, q), p += 2, q = _mm_movehl_ps(q, q);
  if (n & 1) _mm_store_ss(p, q);
}
SIMD_INLINE void store_n(double* p, f64x8 x, size_t n) {
  __m256d h = x.a;
  if (n & 8) return store(p, x);
  if (n & 4) _mm256_storeu_pd(p, h), p += 4, h = x.b;
  __m128d q = _mm256_castpd256_pd128(h);
  if (n & 2) _mm_storeu_pd(p, q), p += 2, q = _mm256_extractf128_pd(h, 1);
  if (n & 1) _mm_store_sd(p, q);
}
SIMD_INLINE void stream(float* p, f32x16 x) { _mm256_stream_ps(p, x.a), _mm256_stream_ps(p + 8, x.b); }
SIMD_INLINE void stream(double* p, f64x8 x) { _mm256_stream_pd(p, x.a), _mm256_stream_pd(p + 4, x.b); }
SIMD_INLINE void stream_end() { _mm_sfence(); }
SIMD_INLINE void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T0); }

// Arithmetic.
SIMD_INLINE f32x16 splat(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
SIMD_INLINE f64x8 splat(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
SIMD_INLINE f32x16 add(f32x16 x, f32x16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
SIMD_INLINE f64x8 add(f64x8 x, f64x8 y) { return {_mm256_add_pd(x.a, y.a), _mm256_add_pd(x.b, y.b)}; }
SIMD_INLINE f32x16 sub(f32x16 x, f32x16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
SIMD_INLINE f64x8 sub(f64x8 x, f64x8 y) { return {_mm256_sub_pd(x.a, y.a), _mm256_sub_pd(x.b, y.b)}; }
SIMD_INLINE f32x16 mul(f32x16 x, f32x16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
SIMD_INLINE f64x8 mul(f64x8 x, f64x8 y) { return {_mm256_mul_pd(x.a, y.a), _mm256_mul_pd(x.b, y.b)}; }
SIMD_INLINE f32x16 fma(f32x16 x, f32x16 y, f32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
SIMD_INLINE f64x8 fma(f64x8 x, f64x8 y, f64x8 z) {
  return {_mm256_fmadd_pd(x.a, y.a, z.a), _mm256_fmadd_pd(x.b, y.b, z.b)};
}
SIMD_INLINE f32x16 div(f32x16 x, f32x16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
SIMD_INLINE f64x8 div(f64x8 x, f64x8 y) { return {_mm256_div_pd(x.a, y.a), _mm256_div_pd(x.b, y.b)}; }
// x86 min/max return the second operand where either is a NaN, so the order of operands decides whether a NaN is kept.
SIMD_INLINE f32x16 max_keep_nan(f32x16 low, f32x16 x) { return {_mm256_max_ps(low.a, x.a), _mm256_max_ps(low.b, x.b)}; }
SIMD_INLINE f64x8 max_keep_nan(f64x8 low, f64x8 x) { return {_mm256_max_pd(low.a, x.a), _mm256_max_pd(low.b, x.b)}; }
SIMD_INLINE f32x16 max_skip_nan(f32x16 acc, f32x16 x) { return {_mm256_max_ps(x.a, acc.a), _mm256_max_ps(x.b, acc.b)}; }
SIMD_INLINE f64x8 max_skip_nan(f64x8 acc, f64x8 x) { return {_mm256_max_pd(x.a, acc.a), _mm256_max_pd(x.b, acc.b)}; }

// first_n: the first n lanes, zero behind them. zero_below: x where v is not below `low` (a NaN is not), else zero.
SIMD_INLINE f32x16 first_n(f32x16 x, size_t n) {
  return {_mm256_and_ps(x.a, _mm256_castsi256_ps(first_lanes(n, 0))),
          _mm256_and_ps(x.b, _mm256_castsi256_ps(first_lanes(n, 8)))};
}
SIMD_INLINE f64x8 first_n(f64x8 x, size_t n) {
  return {_mm256_and_pd(x.a, _mm256_castsi256_pd(first_lanes(2 * n, 0))),
          _mm256_and_pd(x.b, _mm256_castsi256_pd(first_lanes(2 * n, 8)))};
}
SIMD_INLINE f32x16 zero_below(f32x16 x, f32x16 v, f32x16 low) {
  return {_mm256_and_ps(x.a, _mm256_cmp_ps(v.a, low.a, _CMP_NLT_UQ)),
          _mm256_and_ps(x.b, _mm256_cmp_ps(v.b, low.b, _CMP_NLT_UQ))};
}
SIMD_INLINE f64x8 zero_below(f64x8 x, f64x8 v, f64x8 low) {
  return {_mm256_and_pd(x.a, _mm256_cmp_pd(v.a, low.a, _CMP_NLT_UQ)),
          _mm256_and_pd(x.b, _mm256_cmp_pd(v.b, low.b, _CMP_NLT_UQ))};
}
// x, zero in place of a NaN.
SIMD_INLINE f32x16 zero_nan(f32x16 x) {
  return {_mm256_and_ps(x.a, _mm256_cmp_ps(x.a, x.a, _CMP_ORD_Q)),
          _mm256_and_ps(x.b, _mm256_cmp_ps(x.b, x.b, _CMP_ORD_Q))};
}
SIMD_INLINE f64x8 zero_nan(f64x8 x) {
  return {_mm256_and_pd(x.a, _mm256_cmp_pd(x.a, x.a, _CMP_ORD_Q)),
          _mm256_and_pd(x.b, _mm256_cmp_pd(x.b, x.b, _CMP_ORD_Q))};
}
SIMD_INLINE f64x8 add_from(f64x8 sum, f64x8 a, f64x8 x, f64x8 low) { return add(sum, zero_below(a, x, low)); }
// x in the lanes whose bit is set, y in the others.
SIMD_INLINE __m256 spread_f32(uint32_t lanes) {
  __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)lanes), each), each));
}
SIMD_INLINE __m256d spread_f64(uint32_t lanes) {
  __m256i each = _mm256_setr_epi64x(1, 2, 4, 8);
  return _mm256_castsi256_pd(_mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x((long long)lanes), each), each));
}
SIMD_INLINE f32x16 select_bits(f32x16 x, f32x16 y, uint32_t lanes) {
  return {_mm256_blendv_ps(y.a, x.a, spread_f32(lanes)), _mm256_blendv_ps(y.b, x.b, spread_f32(lanes >> 8))};
}
SIMD_INLINE f64x8 select_bits(f64x8 x, f64x8 y, uint32_t lanes) {
  return {_mm256_blendv_pd(y.a, x.a, spread_f64(lanes)), _mm256_blendv_pd(y.b, x.b, spread_f64(lanes >> 4))};
}
// A bit for each lane of x that is greater than y's, or equal to it.
SIMD_INLINE uint32_t lanes_above(f32x16 x, f32x16 y) {
  return (uint32_t)(_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_GT_OQ)) |
                    _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_GT_OQ)) << 8);
}
SIMD_INLINE uint32_t lanes_equal(f32x16 x, f32x16 y) {
  return (uint32_t)(_mm256_movemask_ps(_mm256_cmp_ps(x.a, y.a, _CMP_EQ_OQ)) |
                    _mm256_movemask_ps(_mm256_cmp_ps(x.b, y.b, _CMP_EQ_OQ)) << 8);
}
SIMD_INLINE __m256 outside8(__m256 x, __m256 low, __m256 high) {
  return _mm256_or_ps(_mm256_cmp_ps(x, high, _CMP_NLE_UQ), _mm256_cmp_ps(x, low, _CMP_NGE_UQ));
}
SIMD_INLINE uint32_t lanes_outside(f32x16 x, f32x16 low, f32x16 high) {
  return (uint32_t)(_mm256_movemask_ps(outside8(x.a, low.a, high.a)) | _mm256_movemask_ps(outside8(x.b, low.b, high.b))
                                                                           << 8);
}
SIMD_INLINE uint32_t lanes_above(f64x8 x, f64x8 y) {
  return (uint32_t)(_mm256_movemask_pd(_mm256_cmp_pd(x.a, y.a, _CMP_GT_OQ)) |
                    _mm256_movemask_pd(_mm256_cmp_pd(x.b, y.b, _CMP_GT_OQ)) << 4);
}
// Writes the lanes whose bits are set to `to`, without gaps; a whole vector may be written there. `from` is where the
// vector was loaded. Returns how many lanes these are.
SIMD_INLINE unsigned pack(float* to, const float* from, f32x16, uint32_t lanes) { return pack_bits(to, from, lanes); }
SIMD_INLINE unsigned pack(double* to, const double* from, f64x8, uint32_t lanes) { return pack_bits(to, from, lanes); }

// Bits.
SIMD_INLINE __m256i bits(__m256 x) { return _mm256_castps_si256(x); }
SIMD_INLINE __m256i bits(__m256d x) { return _mm256_castpd_si256(x); }
SIMD_INLINE f32x16 lookup8(const float* table, f32x16 index) {
  __m256 t = _mm256_load_ps(table);
  return {_mm256_permutevar8x32_ps(t, bits(index.a)), _mm256_permutevar8x32_ps(t, bits(index.b))};
}
// Looks up the low and the high words of four doubles by the low word of each lane. vgatherqpd takes a fifth longer.
SIMD_INLINE __m256d lookup8(__m256i low, __m256i high, __m256d index) {
  __m256i i = _mm256_shuffle_epi32(bits(index), 0xA0);  // the low word of each double, twice
  return _mm256_castsi256_pd(
      _mm256_blend_epi32(_mm256_permutevar8x32_epi32(low, i), _mm256_permutevar8x32_epi32(high, i), 0xAA));
}
SIMD_INLINE f64x8 lookup8(const double* table, f64x8 index) {
  __m256 a = _mm256_load_ps((const float*)table), b = _mm256_load_ps((const float*)(table + 4));
  __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
  __m256i low = _mm256_permutevar8x32_epi32(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)), order);
  __m256i high = _mm256_permutevar8x32_epi32(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD)), order);
  return {lookup8(low, high, index.a), lookup8(low, high, index.b)};
}
SIMD_INLINE f32x16 add_shifted(f32x16 x, f32x16 y) {
  return {_mm256_castsi256_ps(_mm256_add_epi32(bits(x.a), _mm256_slli_epi32(bits(y.a), 20))),
          _mm256_castsi256_ps(_mm256_add_epi32(bits(x.b), _mm256_slli_epi32(bits(y.b), 20)))};
}
SIMD_INLINE f64x8 add_shifted(f64x8 x, f64x8 y) {
  return {_mm256_castsi256_pd(_mm256_add_epi64(bits(x.a), _mm256_slli_epi64(bits(y.a), 49))),
          _mm256_castsi256_pd(_mm256_add_epi64(bits(x.b), _mm256_slli_epi64(bits(y.b), 49)))};
}
SIMD_INLINE f64x8 add_integers(f64x8 x, f64x8 y) {
  return {_mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x.a), _mm256_castpd_si256(y.a))),
          _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(x.b), _mm256_castpd_si256(y.b)))};
}
SIMD_INLINE __m256d octaves4(__m256d x) {  // an exponent field in the low bits of 2^52 is a double with an offset
  __m256d field = _mm256_castsi256_pd(_mm256_srli_epi64(bits(x), 52)), base = _mm256_set1_pd(0x1p52);
  return _mm256_sub_pd(_mm256_or_pd(field, base), _mm256_set1_pd(0x1p52 + 1023));
}
SIMD_INLINE f64x8 octaves_of(f64x8 x) { return {octaves4(x.a), octaves4(x.b)}; }
SIMD_INLINE f64x8 mantissas_of(f64x8 x) {
  __m256d field = _mm256_castsi256_pd(_mm256_set1_epi64x(0xFFFFFFFFFFFFF)), one = _mm256_set1_pd(1);
  return {_mm256_or_pd(_mm256_and_pd(x.a, field), one), _mm256_or_pd(_mm256_and_pd(x.b, field), one)};
}
SIMD_INLINE f32x16 or_bits(f32x16 x, f32x16 y, f32x16 z) {
  return {_mm256_or_ps(_mm256_or_ps(x.a, y.a), z.a), _mm256_or_ps(_mm256_or_ps(x.b, y.b), z.b)};
}
SIMD_INLINE f64x8 or_bits(f64x8 x, f64x8 y, f64x8 z) {
  return {_mm256_or_pd(_mm256_or_pd(x.a, y.a), z.a), _mm256_or_pd(_mm256_or_pd(x.b, y.b), z.b)};
}
SIMD_INLINE bool any_bits(f32x16 x, uint32_t mask) {
  return !_mm256_testz_si256(_mm256_or_si256(bits(x.a), bits(x.b)), _mm256_set1_epi32((int)mask));
}
SIMD_INLINE bool any_bits(f64x8 x, uint64_t mask) {
  return !_mm256_testz_si256(_mm256_or_si256(bits(x.a), bits(x.b)), _mm256_set1_epi64x((long long)mask));
}
SIMD_INLINE bool any_nan(f32x16 x) { return _mm256_movemask_ps(_mm256_cmp_ps(x.a, x.b, _CMP_UNORD_Q)) != 0; }
SIMD_INLINE bool any_nan(f64x8 x) { return _mm256_movemask_pd(_mm256_cmp_pd(x.a, x.b, _CMP_UNORD_Q)) != 0; }

// Reductions. The order of additions is part of the result: the two halves, then their halves, down to one lane.
SIMD_INLINE f64x8 low_f64(f32x16 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.a)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.a, 1))};
}
SIMD_INLINE f64x8 high_f64(f32x16 x) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(x.b)), _mm256_cvtps_pd(_mm256_extractf128_ps(x.b, 1))};
}
SIMD_INLINE f32x16 narrow(f64x8 x, f64x8 y) {
  return {_mm256_set_m128(_mm256_cvtpd_ps(x.b), _mm256_cvtpd_ps(x.a)),
          _mm256_set_m128(_mm256_cvtpd_ps(y.b), _mm256_cvtpd_ps(y.a))};
}
SIMD_INLINE double reduce_add(f64x8 x) {
  __m256d h = _mm256_add_pd(x.a, x.b);
  __m128d q = _mm_add_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  return _mm_cvtsd_f64(_mm_add_sd(q, _mm_unpackhi_pd(q, q)));
}
SIMD_INLINE float reduce_max(f32x16 x) {
  __m256 h = _mm256_max_ps(x.a, x.b);
  __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
  q = _mm_max_ps(q, _mm_movehl_ps(q, q));
  return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
SIMD_INLINE double reduce_max(f64x8 x) {
  __m256d h = _mm256_max_pd(x.a, x.b);
  __m128d q = _mm_max_pd(_mm256_castpd256_pd128(h), _mm256_extractf128_pd(h, 1));
  return _mm_cvtsd_f64(_mm_max_sd(q, _mm_unpackhi_pd(q, q)));
}

// Transposes sixteen rows of sixteen floats, `stride` apart, into sixteen adjacent rows.
SIMD_INLINE void transpose8(const float* rows, size_t stride, float* out) {
  __m256 a[8], b[8];
  UNROLL
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(rows + i * stride);
  UNROLL
  for (int i = 0; i < 8; i += 2)
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]), b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  UNROLL
  for (int i = 0; i < 8; i += 4) UNROLL
  for (int j = 0; j < 2; j++)
    a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44),
              a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xEE);
  UNROLL
  for (int j = 0; j < 4; j++) {
    _mm256_storeu_ps(out + 16 * j, _mm256_permute2f128_ps(a[j], a[j + 4], 0x20));
    _mm256_storeu_ps(out + 16 * (j + 4), _mm256_permute2f128_ps(a[j], a[j + 4], 0x31));
  }
}
SIMD_INLINE void transpose16(const float* rows, size_t stride, float* out) {
  UNROLL
  for (size_t i = 0; i < 16; i += 8) UNROLL
  for (size_t j = 0; j < 16; j += 8) transpose8(rows + i * stride + j, stride, out + 16 * j + i);
}

// Sixteen floats in memory as float16 (half), bfloat16 (brain) or bytes. Stores round to nearest, ties to even.
SIMD_INLINE f32x16 load_half(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)),
          _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + 8)))};
}
SIMD_INLINE void store_half(uint16_t* p, f32x16 x) {
  _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  _mm_storeu_si128((__m128i*)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
SIMD_INLINE __m256 brain8(const uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
SIMD_INLINE f32x16 load_brain(const uint16_t* p) { return {brain8(p), brain8(p + 8)}; }
SIMD_INLINE __m256i brain_bits(__m256 x) {
  __m256i u = bits(x), odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  __m256i r = _mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
  r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x400000)), bits(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
  return _mm256_srli_epi32(r, 16);
}
SIMD_INLINE void store_brain(uint16_t* p, f32x16 x) {
  _mm256_storeu_si256((__m256i*)p,
                      _mm256_permute4x64_epi64(_mm256_packus_epi32(brain_bits(x.a), brain_bits(x.b)), 0xD8));
}
SIMD_INLINE __m256 bytes8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
SIMD_INLINE f32x16 load_bytes(const int8_t* p) { return {bytes8(p), bytes8(p + 8)}; }

}  // namespace
