// A sum of many vectors whose error does not grow with their number: floats are added as doubles, and sums of doubles
// carry their rounding errors along.
#pragma once
#include "../math/sum.h"

namespace {

template <class T> struct VectorTotal;
template <> struct VectorTotal<float> {
  f64x8 low = splat(0.), high = splat(0.);  // of the lower and the upper eight lanes
  ALWAYS void operator+=(f32x16 v) {
    low = add(low, low_f64(v));
    high = add(high, high_f64(v));
  }
  ALWAYS Sum reduce(int32_t exponent) const { return {reduce_add(add(low, high)), 0, exponent}; }
};
template <> struct VectorTotal<double> {
  f64x8 sum = splat(0.), rest = splat(0.);  // rest: the rounding errors of the sum
  ALWAYS void add_pair(f64x8 v, f64x8 v_rest) {
    f64x8 s = add(sum, v), t = sub(s, sum);
    rest = add(rest, add(v_rest, add(sub(sum, sub(s, t)), sub(v, t))));
    sum = s;
  }
  ALWAYS Sum reduce(int32_t exponent) const {
    double s[8], r[8];
    store(s, sum);
    store(r, rest);
    Sum total = {0, 0, exponent};
    for (int i = 0; i < 8; i++) {
      double low;
      two_sum(total.mantissa, s[i], total.mantissa, low);
      total.rest += low + r[i];
    }
    return total;
  }
};

}  // namespace
