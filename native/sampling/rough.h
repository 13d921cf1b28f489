// Sums of a float row's weights by the exponential of softmax: known to some parts in 10^7, in less than half the time of near ones. A
// draw from a whole row needs no more, but for one in a hundred.
#pragma once
#include "weights.h"

namespace {

struct Rough {
  static constexpr double kError = 1.75 * 0x1p-24;  // of a weight: 1.5 · 2^-24 in the float core
  static constexpr size_t kMost = 1 << 18;  // beyond, a token weighs too little

  const ExpVector<float> e;
  const double factor;  // makes the largest weight that of the weigher, in integers

  static bool fits(const Weigher& w, double temperature, size_t n) {
    ExpScale<float> scale = ExpScale<float>::of_call(temperature);
    return n <= kMost && !scale.scaled && 8 * scale.octaves * (w.top < 0 ? -w.top : w.top) <= ExpTraits<float>::kLimit;
  }
  Rough(const Weigher& w, double temperature) : Rough(w, ExpScale<float>::of_call(temperature)) {}
  Rough(const Weigher& w, const ExpScale<float>& scale) : e(scale, nearest(w.top * scale.octaves)), factor(w.unit / weight_of(w.top, scale)) {}
  static double weight_of(double top, const ExpScale<float>& scale) {
    const ExpVector<double> exact(ExpScale<double>::of_call(scale.temperature), nearest(top * scale.octaves));
    f64x8 t;
    double q[8];
    store(q, exp_below<false>(exact, splat(top), t));
    return q[0] * kDoubleToFloat;
  }

  // The sum of x[0, count) that is not below `least`.
  NEVER_INLINE uint64_t sum(const float* x, size_t count, float least) const {
    const ExpVector<float> e = this->e;
    const f32x16 lowest = splat(least);
    f64x8 low = splat(0.), high = low;
    auto take = [&](f32x16 v) ALWAYS_LAMBDA {
      f32x16 t, q = zero_below(exp_inside<false>(e, raise_to(e.low, v), t), v, lowest);
      low = add(low, low_f64(q)), high = add(high, high_f64(q));
    };
    size_t i = 0;
    for (; kRegisters < 4 && i + 64 <= count; i += 64) UNROLL for (size_t j = 0; j < 64; j += 16) take(load(x + i + j));
    for (; i < count; i += 16) take(count - i < 16 ? load_n(x + i, count - i, -infinity<float>()) : load(x + i));
    return (uint64_t)(int64_t)(reduce_add(add(low, high)) * factor);
  }
};

}  // namespace
