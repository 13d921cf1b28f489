// The cross-entropy of stableMax (Prieto et al., arXiv 2501.04697), with p = s(z) / Σ s(z), and its gradient:
//
//   L = -ln p[target]      ∂L/∂z[k] = s'(z[k]) / Σ, at the target (p - 1) / (1 + |z|)      s' = 1 for z ≥ 0, s² below
//
// stable_max.h sums s and writes rows. A target of -1 has the loss 0 and the gradient 0.
#pragma once
#include "stable_max.h"

namespace {

template <class T> f64x8 StableMax<T>::slope(const Slopes& slopes, const Terms& e, size_t p) {
  const f64x8 of_negative = mul(e.s, mul(e.s, load(slopes.below + 8 * p)));
  const f64x8 y = select_bits(of_negative, load(slopes.above + 8 * p), e.negative);
  return select_bits(splat(0.), y, slopes.ignored >> 8 * p);
}

// Writes the losses of a tile whose sums are known; `row` is its first one.
template <class T> NEVER_INLINE void StableMax<T>::find_losses(Tile& t, Slopes& slopes, size_t row) const {
  const size_t used = rows.across() ? t.m.n : 1;
  double target[W] = {}, losses[W];
  for (size_t j = 0; j < used; j++) {
    if (loss->targets[row + j] < 0) {
      slopes.ignored |= rows.across() ? 1u << j : ~0u;
      continue;
    }
    const size_t c = (size_t)loss->targets[row + j], v = rows.across() ? c : c / W;
    Two<f64x8> z[kParts];
    double each[W];
    const uint32_t visible = rows.read_out_of_line(t.m, v, z);
    if (sizeof(T) == 8 && t.is_scaled) read_scaled(t, v, z, visible);
    for (size_t p = 0; p < kParts; p++) store(each + 8 * p, add(z[p].x, z[p].low));
    target[j] = each[rows.across() ? j : c % W];
  }
  t.nan &= ~slopes.ignored;
  for (size_t p = 0; p < kParts; p++) {
    const f64x8 zero = splat(0.), one = splat(1.), scale = splat(loss->scale);
    const f64x8 unit = load(t.unit + 8 * p), sum = load(t.m.sum + 8 * p);
    const Terms e = terms(t, {load(target + 8 * p), zero}, p);
    const f64x8 q = div(e.s, sum), others = add(sub(sum, e.s), load(t.m.rest + 8 * p));
    store(losses + 8 * p, mul(sub(zero, log_of_quotient(t, e, q, sum, p)), scale));
    const f64x8 missed = select_bits(div(others, sum), sub(one, q), lanes_above(q, splat(0.5)));
    const f64x8 derivative = div(select_bits(unit, mul(unit, load(t.factor + 8 * p)), e.negative), e.size);
    store(slopes.at_target + 8 * p, sub(zero, mul(mul(missed, derivative), scale)));
    // Terms are s times a power of two.
    const f64x8 power = div(load(t.numerator + 8 * p), unit), share = div(scale, sum);
    store(slopes.above + 8 * p, mul(share, power));
    store(slopes.below + 8 * p, div(share, power));
  }
  for (size_t j = 0; j < used; j++) {
    const double value = t.nan >> j & 1 ? not_a_number<double>() : same_nan(losses[j]);
    loss->losses[row + j] = slopes.ignored >> j & 1 ? 0 : value;
  }
  t.slopes = &slopes;
}

template <class T> void StableMax<T>::write_at_targets(const Tile& t, size_t row) const {
  for (size_t j = 0; j < (rows.across() ? t.m.n : 1); j++) {
    if ((t.nan | t.slopes->ignored) >> j & 1) continue;
    const size_t c = (size_t)loss->targets[row + j];
    out[t.m.first + (rows.across() ? j + c * rows.inner : c)] = (T)t.slopes->at_target[j];
  }
}

template <class T> void stable_max_loss_floats(const Run& run, const T* x, T* gradient, const StableMaxLoss& loss,
                                               const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  for (size_t i = 0; e.cols == 0 && i < e.rows(); i++) loss.losses[i] = 0;
  if (e.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of(1);
  StableMax<T>{run, {x, e.cols, e.inner, scale, Extras<T>(rows), 1}, e.outer, gradient, false, &loss}.go();
}
template <class X, class Y>
void stable_max_loss(const Run& run, const Stored<X>* x, const int32_t* targets, double* loss, Stored<X>* gradient,
                     double scale, const UnscaledRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows.logits());
    for (size_t i = 0; rows.extent.cols == 0 && i < rows.extent.rows(); i++) loss[i] = 0;
    in_floats(call, x, nullptr, gradient,
              [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
                const size_t row = call.row_index(o);
                stable_max_loss_floats<float>(r, in, result, {targets + row, loss + row, scale}, call.part(o, n));
              });
  } else stable_max_loss_floats<X>(run, x, gradient, {targets, loss, scale}, rows.logits());
}

}  // namespace
