// safe_step_radius ("ghosts of softmax"): reach / (max − min) of each row; reach is π. ∞ where all numbers are the same
// or masked, 0 where one is infinite, NaN for a NaN.
#pragma once
#include "loss_rows.h"

namespace {

template <class T> struct StepRadius : LossRows<T> {
  using Base = LossRows<T>;
  using Base::kParts, Base::rows, Base::W;
  using Lanes = typename Base::Lanes;
  using Tile = typename Base::Tile;
  using Memory = NoMemory;
  double *out, reach;

  StepRadius(const Base& base, double* out, double reach) : Base(base), out(out), reach(reach) {}
  void row(const Run&, Memory&, size_t i) const {
    Tile t;
    this->place(t, i);
    const f64x8 bottom = splat(-infinity<double>()), zero = splat(0.);
    f64x8 most[kParts], least[kParts], nan[kParts];
    for (size_t p = 0; p < kParts; p++) {
      most[p] = least[p] = bottom;
      nan[p] = zero;
    }
    this->each(t, [&](size_t, Two<f64x8>* x, uint32_t visible) ALWAYS_LAMBDA {
      UNROLL for (size_t p = 0; p < kParts; p++) {
        const f64x8 z = add(x[p].x, x[p].low);
        most[p] = max_skip_nan(most[p], z);
        least[p] = max_skip_nan(least[p], select_bits(sub(zero, z), bottom, visible >> 8 * p));
        nan[p] = max_skip_nan(nan[p], select_bits(splat(1.), zero, nan_lanes(z)));
      }
    });
    Lanes high, low, is_nan;
    this->merge_largest(most, high);
    this->merge_largest(least, low);  // of −z
    this->merge_largest(nan, is_nan);
    const size_t row = this->first_row(i);
    for (size_t j = 0; j < this->used(t); j++) {
      const double a = high.v[j], b = low.v[j], spread = a + b;
      const bool is_finite = spread - spread == 0;
      const bool is_empty = a == -infinity<double>() && b == -infinity<double>();
      if (is_nan.v[j] > 0) out[row + j] = not_a_number<double>();
      else if (is_empty) out[row + j] = infinity<double>();
      else if (is_finite) out[row + j] = reach / spread;
      else out[row + j] = spread != spread ? 0 : reach / 4 / (a / 4 + b / 4);
    }
  }
};

template <class T>
void step_radius_floats(const Run& run, const T* x, double* out, double reach, const LogitRows<T>& rows) {
  const ExpScale<double> scale = ExpScale<double>::of(1);
  LossRows<T>::share(StepRadius<T>({run, x, rows, scale}, out, reach));
}
template <class X, class Y> void safe_step_radius(const Run& run, const Stored<X>* x, double* out, double reach,
                                                  const UnscaledRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows.logits());
    in_floats(call, x, nullptr, {}, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) {
      step_radius_floats<float>(r, in, out + call.row_index(o), reach, call.part(o, n));
    });
    for (size_t i = 0; rows.extent.cols == 0 && i < rows.extent.rows(); i++) out[i] = infinity<double>();
  } else step_radius_floats<X>(run, x, out, reach, rows.logits());
}

}  // namespace
