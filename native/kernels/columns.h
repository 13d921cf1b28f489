// softmax along an axis that is not the last: x is [outer, cols, inner]. A vector holds neighbours along `inner`, so
// each lane is a row of its own and nothing is transposed. Every lane's maximum is known first and taken off exactly
// (the difference is kept as two numbers), so one exponent serves all lanes.
#pragma once
#include "reciprocal.h"

namespace {

// A sum for each lane, in doubles.
template <class T> struct LaneTotal;
template <> struct LaneTotal<float> {
  f64x8 a = splat(0.), b = splat(0.);
  ALWAYS void add_both(f32x16 v, f32x16 below) { a = add(a, add(low_f64(v), low_f64(below))), b = add(b, add(high_f64(v), high_f64(below))); }
  ALWAYS void sums(double* s, double* rest) const {
    store(s, a), store(s + 8, b);
    for (int i = 0; i < 16; i++) rest[i] = 0;
  }
};
template <> struct LaneTotal<double> : Total<double> {
  ALWAYS void sums(double* s, double* r) const { store(s, a), store(r, rest); }
};

template <class T> struct SoftmaxColumns {
  using V = typename ExpTraits<T>::Vector;
  static constexpr size_t W = ExpTraits<T>::kLanes;
  const Run& run;
  const T* x;
  T* out;
  size_t outer, cols, inner;
  const ExpScale<T>& scale;
  Extras<T> extras;

  size_t tiles() const { return (inner + W - 1) / W; }

  // Element c of the rows [at, at + n) of one outer index, masked ones as −∞.
  ALWAYS Two<V> logit(size_t o, size_t c, size_t at, size_t n) const {
    size_t i = (o * cols + c) * inner + at;
    Two<V> z = {n == W ? load(x + i) : load_n(x + i, n, (T)0), splat((T)0)};
    if (extras.bias.data) z = two_sum(z.x, extras.bias.length == cols ? splat(extras.bias.data[c]) : n == W ? load(extras.bias.data + i) : load_n(extras.bias.data + i, n, (T)0));
    uint32_t lanes = (1u << W) - 1;
    if (extras.layout != kNoMask) {
      lanes = !extras.shared_mask() ? mask_lanes(extras.mask, extras.layout, i, n) : mask_lanes(extras.mask, extras.layout, c, 1) ? lanes : 0;
      z = {select_bits(z.x, splat(-infinity<T>()), lanes), select_bits(z.low, splat((T)0), lanes)};
    }
    return z;
  }

  static void tile(void* self, size_t index) {
    SoftmaxColumns& s = *(SoftmaxColumns*)self;
    if (!s.run.stopped()) s.tile(index / s.tiles(), index % s.tiles() * W);
  }
  void tile(size_t o, size_t at) {
    size_t n = inner - at < W ? inner - at : W;
    V top = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) top = max_skip_nan(top, logit(o, c, at, n).x);
    T tops[W], constant[W], hi[W], lo[W];
    store(tops, top);
    uint32_t finite = 0, top_is_nothing = 0;
    for (size_t i = 0; i < W; i++) {
      if (tops[i] - tops[i] == 0) finite |= 1u << i;
      else top_is_nothing |= (uint32_t)(tops[i] < 0) << i, tops[i] = 0;
    }
    V zero = splat((T)0), k1 = splat(scale.scale1), k2 = splat(scale.scale2), minus = sub(zero, load(tops)), second = zero;
    auto scaled = [&](Two<V> z) ALWAYS_LAMBDA { return number(Two<V>{mul(mul(z.x, k1), k2), mul(mul(z.low, k1), k2)}); };
    auto from_top = [&](size_t c) ALWAYS_LAMBDA {
      Two<V> z = number(logit(o, c, at, n));
      return difference(difference(scale.scale1 < 1 ? scaled(z) : z, minus), second);
    };
    if (scale.scale1 < 1) minus = mul(mul(minus, k1), k2);
    if (extras.bias.data) {  // what rounding took from x + bias is all there is of the largest, and may itself be large
      V above = splat(-infinity<T>());
      for (size_t c = 0; c < cols; c++) above = max_skip_nan(above, from_top(c).x);
      second = sub(zero, select_bits(above, zero, finite));
    }
    const ExpVector<T> e(scale, 0);
    LaneTotal<T> total;
    for (size_t c = 0; c < cols; c++) {
      Two<V> d = from_top(c);
      if (scale.scale1 > 1) d = scaled(d);
      V t, rest, q = exp_below<false>(e, d, t, &rest);
      total.add_both(q, rest);
      put(o, c, at, n, q);
    }
    double sums[W], rests[W];
    total.sums(sums, rests);
    for (size_t i = 0; i < W; i++) {
      bool usual = (finite >> i & 1) && sums[i] - sums[i] == 0;
      if (!usual) finite &= ~(1u << i);
      constant[i] = extras.layout != kNoMask && top_is_nothing >> i & 1 && sums[i] == 0 ? 0 : not_a_number<T>();
      Reciprocal<T> r(Sum{usual ? sums[i] : 1, usual ? rests[i] : 0, 0});
      hi[i] = (T)(r.hi * pow2((int)-r.octave)), lo[i] = (T)(r.lo * pow2((int)-r.octave));
    }
    V h = load(hi), l = load(lo), k = load(constant);
    for (size_t c = 0; c < cols; c++) {
      const T* y = out + (o * cols + c) * inner + at;
      V q = n == W ? load(y) : load_n(y, n, (T)0);
      put(o, c, at, n, select_bits(fma(q, h, mul(q, l)), k, finite));
    }
  }
  ALWAYS void put(size_t o, size_t c, size_t at, size_t n, V v) const {
    T* y = out + (o * cols + c) * inner + at;
    n == W ? store(y, v) : store_n(y, v, n);
  }

  void go() {
    Run r = run;
    if (outer * cols * inner * sizeof(T) < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    r.parallel(outer * tiles(), tile, this);
  }
};

}  // namespace
