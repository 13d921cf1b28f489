// softmax_backward: y (dy − Σ y dy) / T, or for is_log (dy − exp(y) Σ dy) / T. Short rows take W neighbours at a time
// (backward_short_rows.h), others one row or W rows side by side (backward_rows.h). Half types are converted to floats.
#pragma once
#include "../rows/half_rows.h"
#include "backward_short_rows.h"

namespace {

template <class T>
void softmax_backward_floats(const Run& run, const T* y, const T* dy, T* out, bool is_log, const MaskedRows& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of_call(rows.temperature);
  Extras<T> extras(rows.mask, {nullptr, 0});
  const SoftmaxBackward<T> all{
      run, y, dy, out, e.outer, e.cols, e.inner, 1 / scale.temperature, scale.scale1, scale.scale2, extras, is_log};
  !all.across() && e.cols <= BackwardShortRows<T>::kLongest ? BackwardShortRows<T>{all}.run_tiles() : all.run_tiles();
}
void softmax_backward_halves(const HalfCall& call, const uint16_t* y, const uint16_t* dy, HalfResult to, bool is_log) {
  in_floats(call, y, dy, to, [&](const Run& r, size_t o, size_t n, const float* in, const float* other, float* result) {
    softmax_backward_floats<float>(r, in, other, result, is_log, call.part(o, n));
  });
}
template <class X, class Y> void softmax_backward(const Run& run, const Stored<X>* y, const Stored<X>* dy,
                                                  Stored<Y>* out, int32_t is_log, const MaskedRows& rows) {
  if constexpr (kIsHalf<X>) softmax_backward_halves(HalfCall(kFormat<X>, run, rows), y, dy, out, is_log != 0);
  else softmax_backward_floats(run, y, dy, out, is_log != 0, rows);
}

}  // namespace
