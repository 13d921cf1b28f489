// A sum of exponentials as mantissa · 2^exponent, far outside the range of floats. Scaling by 2^k is exact, so a merge
// of two sums rounds once, in its addition.
#pragma once
#include "exp.h"

namespace {

// (mantissa + rest) · 2^exponent; rest is 0 in float rows. If one term is most of the sum, it is peak + peak_rest, at
// index peak_at, and its quotient is computed from these. `others`: the sum without it, in float rows; NaN if it is
// not known to float accuracy.
struct Sum {
  double mantissa, rest;
  int32_t exponent;
  double peak = 0, peak_rest = 0;
  size_t peak_at = 0;
  double others = __builtin_nan("0");
};
constexpr Sum kNothing = {0, 0, INT32_MIN};
constexpr Sum kOutOfReach = {0, 0, INT32_MAX};  // a part that must be summed by its maximum
SIMD_INLINE bool all_reached(const Sum* parts, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (parts[i].exponent == kOutOfReach.exponent) return false;
  return true;
}

// The lanes that hold a NaN.
SIMD_INLINE uint32_t nan_lanes(f64x8 x) {
  return ~(lanes_above(x, splat(-infinity<double>())) | lanes_above(splat(infinity<double>()), x)) & 0xFF;
}
// x; a NaN gets the bits that it has on all processors. The sign of a NaN that was computed differs between them.
SIMD_INLINE double same_nan(double x) { return x == x ? x : not_a_number<double>(); }
SIMD_INLINE f64x8 same_nan(f64x8 x) { return select_bits(splat(not_a_number<double>()), x, nan_lanes(x)); }
SIMD_INLINE f64x8 zero_unless_finite(f64x8 v) {
  f64x8 most = splat(infinity<double>());
  return select_bits(v, splat(0.), lanes_above(most, v) & lanes_above(v, sub(splat(0.), most)));
}

SIMD_INLINE double pow2_or_zero(int64_t n) { return n < -1000 ? 0 : pow2((int)n); }  // for n ≤ 0

SIMD_INLINE void two_sum(double a, double b, double& s, double& rest) {  // Knuth
  s = a + b;
  double t = s - a;
  rest = (a - (s - t)) + (b - t);
}

SIMD_INLINE Sum merge(Sum a, Sum b) {
  if (b.mantissa == 0) return a;
  if (a.mantissa == 0) return b;
  if (a.exponent < b.exponent) {
    Sum t = a;
    a = b, b = t;
  }
  double f = pow2_or_zero((int64_t)b.exponent - a.exponent);
  double rest, before = a.mantissa;
  two_sum(a.mantissa, f * b.mantissa, a.mantissa, rest);
  if (rest == rest) a.rest = a.rest + (f * b.rest + rest);  // not after ∞
  if (f * b.peak > a.peak)
    a.peak = f * b.peak, a.peak_rest = f * b.peak_rest, a.peak_at = b.peak_at, a.others = f * b.others + before;
  else a.others += f * b.mantissa;
  return a;
}

}  // namespace
