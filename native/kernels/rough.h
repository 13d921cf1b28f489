// Sums of a float row's weights that are known to some parts in 10^7, in a third of the time of exact ones: by the exponential of
// softmax. Most decisions do not need more; where one might turn out otherwise, it is made again with exact sums.
#pragma once
#include "weights.h"

namespace {

struct Rough {
  // What a term may be off, as a part of it: 1.5 · 2^-24 in the float core. Terms are off by as much in a sum as in what it is compared
  // with: of head − p · all, a term of the head counts 1 − p, and the others p.
  static constexpr double kError = 1.75 * 0x1p-24;
  static double error(double p, double head, double all, size_t n, double unit) {
    return kError * ((1 - p) * head + p * (all - head)) + all * 0x1p-44 + (double)n / unit;  // and what exact weights round off
  }
  static constexpr size_t kMost = 1 << 18;

  const ExpVector<float> e;
  const double factor;  // makes the largest weight 1

  static bool fits(float top, double temperature, size_t n) {
    ExpScale<float> scale = ExpScale<float>::of(temperature);
    return n <= kMost && !scale.scaled && 8 * scale.octaves * (top < 0 ? -top : top) <= ExpTraits<float>::kLimit;
  }
  Rough(float top, const ExpScale<float>& scale) : e(scale, nearest((double)top * scale.octaves)), factor(1 / weight_of(top, scale)) {}
  static double weight_of(float top, const ExpScale<float>& scale) {
    const ExpVector<double> exact(ExpScale<double>::of(scale.temperature), nearest((double)top * scale.octaves));
    f64x8 t;
    double q[8];
    store(q, exp_below<false>(exact, splat((double)top), t));
    return q[0] * kDoubleToFloat;
  }

  // The sum of x[0, count) that is not below `high`; `all` grows by the whole sum. Which lie from `low` to `high`: see Nucleus.
  double page(const float* x, size_t count, float low, float high, double& all, uint64_t* between) const {
    f64x8 sum = splat(0.), rest = sum, head = sum, more = sum;
    const f32x16 lowest = splat(low), highest = splat(high);
    auto take = [&](f32x16 v) ALWAYS_LAMBDA {
      f32x16 t, q = exp_below<false>(e, v, t), h = zero_below(q, v, highest);
      sum = add(sum, low_f64(q)), rest = add(rest, high_f64(q)), head = add(head, low_f64(h)), more = add(more, high_f64(h));
      return between ? (uint64_t)(lanes_above(highest, v) & ~lanes_above(lowest, v)) : 0;
    };
    for (size_t i = 0; i < count; i += 64) {
      uint64_t lanes = 0;
      size_t left = count - i < 64 ? count - i : 64;
      if (left == 64) UNROLL for (size_t j = 0; j < 64; j += 16) lanes |= take(load(x + i + j)) << j;
      else for (size_t j = 0; j < left; j += 16) lanes |= take(left - j < 16 ? load_n(x + i + j, left - j, -infinity<float>()) : load(x + i + j)) << j;
      if (between) between[i / 64] = left < 64 ? lanes & ((1ull << left) - 1) : lanes;
    }
    all += reduce_add(add(sum, rest)) * factor;
    return reduce_add(add(head, more)) * factor;
  }
};

// The least float that is not below a double.
SIMD_INLINE float float_from(double least) {
  float f = (float)least;
  if ((double)f >= least) return f;
  uint32_t u;
  COPY(&u, &f, 4);
  u = f > 0 ? u + 1 : f < 0 ? u - 1 : 1;
  COPY(&f, &u, 4);
  return f;
}

}  // namespace
