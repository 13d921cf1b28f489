// A sum of exponentials as a number: mantissa · 2^exponent, far outside the range of any float, and how two are added.
// Scaling by 2^k is exact, so what merging rounds is the addition alone.
#pragma once
#include "exp.h"

namespace {

// mantissa · 2^exponent, the mantissa as the sum of two doubles (`rest` is zero for float rows). `peak` (and what
// rounding took from it) is the term at `peak_at`, where that is most of the sum: its quotient is computed from these. `others`
// is the sum without it, in float rows, or a NaN where that is not known as well as it should be.
struct Sum {
  double mantissa, rest;
  int32_t exponent;
  double peak = 0, peak_rest = 0;
  size_t peak_at = 0;
  double others = __builtin_nan("0");
};
constexpr Sum kNothing = {0, 0, INT32_MIN};
constexpr Sum kOutOfReach = {0, 0, INT32_MAX};  // a part that has to be summed in another way
SIMD_INLINE bool all_reached(const Sum* parts, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (parts[i].exponent == kOutOfReach.exponent) return false;
  return true;
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
  if (a.exponent < b.exponent) { Sum t = a; a = b, b = t; }
  double f = pow2_or_zero((int64_t)b.exponent - a.exponent);
  double rest, before = a.mantissa;
  two_sum(a.mantissa, f * b.mantissa, a.mantissa, rest);
  if (rest == rest) a.rest = a.rest + (f * b.rest + rest);  // not after ∞
  if (f * b.peak > a.peak) a.peak = f * b.peak, a.peak_rest = f * b.peak_rest, a.peak_at = b.peak_at, a.others = f * b.others + before;
  else a.others += f * b.mantissa;
  return a;
}

}  // namespace
