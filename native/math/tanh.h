// tanh of doubles, which caps scores and logits.
#pragma once
#include "exp.h"

namespace {

// Returns tanh(x) = sign(x) · (1 − E) / (1 + E) with E = exp(−2|x|); NaN for NaN. Max error: about 1e-16 absolute.
// That error is large relative to a small x. Below 2^-10 it returns x − x³/3 + 2x⁵/15. Max error there: 2^-52 of x.
SIMD_INLINE f64x8 tanh_f64(f64x8 x) {
  f64x8 zero = splat(0.), size = max_keep_nan(sub(zero, x), x), t;
  const ExpVector<double> exp(ExpScale<double>::of(1), ExpTraits<double>::kBias);
  f64x8 q = mul(exp_below<true>(exp, mul(size, splat(-2.)), t), splat(1 / ExpTraits<double>::kG));
  f64x8 y = div(sub(splat(1.), q), add(splat(1.), q)), square = mul(x, x);
  f64x8 small = fma(mul(x, square), fma(square, splat(2. / 15), splat(-1. / 3)), x);
  return select_bits(small, select_bits(sub(zero, y), y, lanes_above(zero, x)), lanes_above(splat(0x1p-10), size));
}
// Returns tanh(x) of one number, with the bounds of tanh_f64.
SELDOM static double tanh_scalar(double x) {
  double y[8];
  store(y, tanh_f64(splat(x)));
  return y[0];
}

}  // namespace
