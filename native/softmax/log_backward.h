// The gradient of logSoftmax by x, from y = logSoftmax(x / T) and dy, the gradient by y: dx = (dy − exp(y) Σ dy) / T.
// backward_rows.h sums dy and shares rows.
#pragma once
#include "backward_rows.h"

namespace {

// Max error, relative to the larger of the two terms: ½ ULP of a float and 2^-35; 5 · 2^-53 of a double.
template <class T> NEVER_INLINE void SoftmaxBackward<T>::write_log_part(const Tile& t, size_t part) const {
  const ExpVector<double> e(ExpScale<double>::of(1), 0);
  const f64x8 least = splat(355.), most = splat(infinity<double>()), factor = splat(inverse);
  const f64x8 down = splat(-0x1p-513 / ExpTraits<double>::kG);
  for (size_t v = part * kVectors; v < end(part); v++) {
    size_t i;
    f64x8 a[kParts], b[kParts], unused;
    uint32_t lanes = 0;
    const size_t n = read<true>(t, v, i, a, b, lanes);
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      f64x8 q = kExactProducts ? exp_for_float(e, a[p]) : exp_below<true>(e, a[p], unused);
      q = mul(select_bits(most, q, lanes_above(a[p], least)), down);  // no logarithm of a probability is that large
      f64x8 r = fma(q, load(t.total.rest + 8 * p), fma(q, load(t.total.sum + 8 * p), b[p]));
      r = mul(mul(mul(r, factor), splat(scale1)), splat(scale2));
      if (!kExactProducts && t.is_scaled) r = div(r, load(t.dy_factor));
      a[p] = same_nan(r);
      if (extras.has_mask()) a[p] = select_bits(a[p], splat(0.), lanes >> 8 * p);
    }
    n == W ? store(out + i, narrowed(a, T())) : store_n(out + i, narrowed(a, T()), n);
  }
}

}  // namespace
