// A tile of softmax_backward: one row, or W rows side by side, with the sum of each lane.
#pragma once
#include "log_row_sum.h"

namespace {

template <class T> struct SoftmaxBackward;

// n rows side by side, or one row. `parts` are the sums of each part, `total` is their sum.
template <class T> struct BackwardTile {
  static constexpr size_t W = ExpTraits<T>::kLanes;
  const SoftmaxBackward<T>& s;
  size_t first, n;
  struct Sums {
    double sum[W], rest[W];
  } *parts, total;
  bool is_usual = true;    // no factor of a result is far from 1, and no result is NaN
  bool is_zero = false;    // dy is 0 throughout
  bool is_scaled = false;  // dy of each lane is multiplied by dy_factor
  double dy_factor[W] = {};

  // Whether no result is NaN: all products are finite, and so is each dy minus the sum.
  bool has_finite_sums() const {
    bool is_finite = true;
    for (double s : total.sum) is_finite &= s < 1e290 && s > -1e290;
    return is_finite;
  }
  bool has_tiny_sums() const {
    bool has_tiny = false;
    for (size_t i = 0; i < n; i++) has_tiny |= is_tiny(total.sum[i]);
    return has_tiny;
  }
  static bool is_tiny(double s) { return s < 0x1p-900 && s > -0x1p-900; }
  void scale_all(double factor) {
    is_scaled = true;
    for (double& each : dy_factor) each = factor;
  }
};

// Returns v with a fixed NaN in place of any NaN or infinity: processors differ in the NaN of 0 · ∞.
SIMD_INLINE f64x8 one_nan(f64x8 v) {
  f64x8 most = splat(infinity<double>());
  return select_bits(v, splat(not_a_number<double>()), lanes_above(most, v) | lanes_above(v, sub(splat(0.), most)));
}

}  // namespace
