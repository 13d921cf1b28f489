// soft_top_k_backward: ∂L/∂x_i = α v_i (u_i − Σ u v / Σ v) with u = ∂L/∂p and v = p (1 − p); 0 where v is 0.
//
// 1. Add up v and u · v.   2. Write. A row whose Σ v underflows to 0 has the gradient 0.
#pragma once
#include "loss_rows.h"

namespace {

template <class T> struct SoftTopKBackward : LossRows<T> {
  using Base = LossRows<T>;
  using Base::kParts, Base::rows, Base::W;
  using Lanes = typename Base::Lanes;
  using Tile = typename Base::Tile;
  using Memory = NoMemory;
  const T* slopes;
  T* out;
  double alpha;

  SoftTopKBackward(const Base& base, const T* slopes, T* out, double alpha)
      : Base(base), slopes(slopes), out(out), alpha(alpha) {}

  // v of eight elements, 0 outside of the row.
  static ALWAYS f64x8 weight(Two<f64x8> p, uint32_t visible) {
    return select_bits(mul(p.x, sub(splat(1.), p.x)), splat(0.), visible);
  }
  // u of a vector, 0 where v is 0: a masked position leaks nothing.
  ALWAYS void read_slopes(const Tile& t, size_t v, const f64x8* weights, f64x8* u) const {
    const size_t i = this->index(t, v), n = rows.width(t, v);
    widen(n == W ? load(slopes + i) : load_n(slopes + i, n, (T)0), u);
    UNROLL for (size_t p = 0; p < kParts; p++) {
      const uint32_t some = lanes_above(weights[p], splat(0.)) | lanes_above(splat(0.), weights[p]);
      u[p] = select_bits(u[p], splat(0.), some);
    }
  }
  void row(const Run&, Memory&, size_t i) const {
    Tile t;
    this->place(t, i);
    VectorTotal<double> weight_total[kParts], product_total[kParts];
    this->each(t, [&](size_t v, Two<f64x8>* x, uint32_t visible) ALWAYS_LAMBDA {
      f64x8 w[kParts], u[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) w[p] = weight(x[p], visible >> 8 * p);
      read_slopes(t, v, w, u);
      UNROLL for (size_t p = 0; p < kParts; p++) {
        weight_total[p].add_pair(w[p], splat(0.));
        product_total[p].add_pair(mul(u[p], w[p]), splat(0.));
      }
    });
    Lanes weights, products, rest, mean, bad;
    this->merge(weight_total, weights, rest);
    this->merge(product_total, products, rest);
    for (size_t j = 0; j < W; j++) {
      mean.v[j] = weights.v[j] == 0 ? 0 : products.v[j] / weights.v[j];
      // NaN where a row has one: 0 · NaN is added to each of its elements.
      bad.v[j] = weights.v[j] == weights.v[j] && mean.v[j] == mean.v[j] ? 0 : not_a_number<double>();
    }
    this->each(t, [&](size_t v, Two<f64x8>* x, uint32_t visible) ALWAYS_LAMBDA {
      f64x8 w[kParts], u[kParts], y[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) w[p] = weight(x[p], visible >> 8 * p);
      read_slopes(t, v, w, u);
      UNROLL for (size_t p = 0; p < kParts; p++) y[p] =
          add(mul(mul(splat(alpha), w[p]), sub(u[p], mean.part(p))), bad.part(p));
      this->write(out, t, v, y);
    });
  }
};

template <class T>
void soft_top_k_backward_floats(const Run& run, const T* p, const T* dp, T* out, double alpha, const Extent& extent) {
  if (extent.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of(1);
  const LogitRows<T> rows = {{extent, 1, {nullptr, kNoMask}}, {nullptr, 0}};
  LossRows<T>::share(SoftTopKBackward<T>({run, p, rows, scale}, dp, out, alpha));
}
template <class X, class Y> void soft_top_k_backward(const Run& run, const Stored<X>* p, const Stored<X>* dp,
                                                     Stored<Y>* out, double alpha, size_t outer, size_t cols,
                                                     size_t inner) {
  const Extent extent = {outer, cols, inner};
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, MaskedRows{extent, 1, {nullptr, kNoMask}});
    in_floats(call, p, dp, out,
              [&](const Run& r, size_t, size_t n, const float* in, const float* other, float* result) {
                soft_top_k_backward_floats<float>(r, in, other, result, alpha, {n, cols, inner});
              });
  } else soft_top_k_backward_floats<X>(run, p, dp, out, alpha, extent);
}

}  // namespace
