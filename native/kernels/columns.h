// Softmax, states and normalized chunks (partial.h) along an axis that is not the last: x is [outer, cols, inner]. A vector holds
// neighbours along `inner`, so each lane is a row of its own and nothing is transposed. Every lane's maximum is known first and
// taken off exactly (the difference is kept as two numbers), so one exponent serves all lanes.
#pragma once
#include "reciprocal.h"
#include "state.h"

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

// Without states: softmax. Without `out`: the sums go to the states. With both: probabilities from the states.
template <class T> struct Columns {
  using V = typename ExpTraits<T>::Vector;
  static constexpr size_t W = ExpTraits<T>::kLanes;
  const Run& run;
  const T* x;
  T* out;
  double* mantissa;
  int32_t* exponent;
  size_t outer, cols, inner;
  const ExpScale<T>& scale;
  Extras<T> extras;

  size_t tiles() const { return (inner + W - 1) / W; }

  // Rows [at, at + n) of one outer index, and what is taken off them, negated: their maxima, and what rounding took from those.
  struct Tile {
    size_t o, at, n;
    V minus, second;
  };
  // Element c of a tile's rows, masked ones as −∞.
  ALWAYS Two<V> logit(const Tile& t, size_t c) const {
    size_t i = (t.o * cols + c) * inner + t.at, n = t.n;
    Two<V> z = {n == W ? load(x + i) : load_n(x + i, n, (T)0), splat((T)0)};
    if (extras.bias.data) z = two_sum(z.x, extras.bias.length == cols ? splat(extras.bias.data[c]) : n == W ? load(extras.bias.data + i) : load_n(extras.bias.data + i, n, (T)0));
    if (extras.layout != kNoMask) {
      uint32_t lanes = extras.lanes(i, c, n, true);
      z = {select_bits(z.x, splat(-infinity<T>()), lanes), select_bits(z.low, splat((T)0), lanes)};
    }
    return z;
  }
  ALWAYS Two<V> from_top(const Tile& t, size_t c) const {
    Two<V> z = number(logit(t, c));
    return difference(difference(scale.scale1 < 1 ? number(scaled_by(z, scale.scale1, scale.scale2)) : z, t.minus), t.second);
  }
  // What rounding took from x + bias is all there is of the largest, and may itself be large.
  SELDOM V second_of(const Tile& t) const {
    V most = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) most = max_skip_nan(most, from_top(t, c).x);
    return sub(splat((T)0), most);
  }
  SELDOM bool nan_in_lane(const Tile& t, size_t lane) const {
    Tile one = {t.o, t.at + lane, 1, t.minus, t.second};
    bool nan = false;
    for (size_t c = 0; c < cols; c++) {
      T v[W];
      store(v, logit(one, c).x);
      nan |= v[0] != v[0];
    }
    return nan;
  }
  ALWAYS void put(const Tile& t, size_t c, V v) const {
    T* y = out + (t.o * cols + c) * inner + t.at;
    t.n == W ? store(y, v) : store_n(y, v, t.n);
  }

  static void tile(void* self, size_t index) {
    Columns& s = *(Columns*)self;
    if (!s.run.stopped()) s.tile(index / s.tiles(), index % s.tiles() * W);
  }
  void tile(size_t o, size_t at) {
    const V zero = splat((T)0);
    Tile t = {o, at, inner - at < W ? inner - at : W, zero, zero};
    const size_t n = t.n, first = o * inner + at;
    const bool summing = !out, normalizing = out && mantissa;
    V top = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) top = max_skip_nan(top, logit(t, c).x);
    T tops[W], seconds[W], constant[W] = {}, down[W] = {}, hi[W] = {}, lo[W] = {};
    uint32_t usual = 0, infinite = 0, empty = 0, finite = 0;
    store(tops, top);
    for (size_t i = 0; i < W; i++) {
      if (tops[i] - tops[i] == 0) finite |= 1u << i;
      else (tops[i] > 0 ? infinite : empty) |= 1u << i, tops[i] = 0;
    }
    t.minus = sub(zero, load(tops));
    if (scale.scale1 < 1) t.minus = mul(mul(t.minus, splat(scale.scale1)), splat(scale.scale2));
    if (extras.bias.data) t.second = select_bits(second_of(t), zero, finite);
    Octaves octaves[W];
    if (mantissa) {
      store(tops, sub(zero, t.minus)), store(seconds, sub(zero, t.second));
      double up = scale.scale1 > 1 ? (double)scale.scale1 * scale.scale2 : 1;
      for (size_t i = 0; i < n; i++) octaves[i] = Octaves::of(tops[i] * up, seconds[i] * up, scale.temperature);
    }
    for (size_t i = 0; normalizing && i < n; i++) {
      double m = mantissa[first + i];
      constant[i] = m == 0 && extras.layout != kNoMask && (empty >> i & 1) && !nan_in_lane(t, i) ? 0 : not_a_number<T>();
      if (!ordinary(m)) continue;
      usual |= 1u << i;
      Scaler<T> s(Reciprocal<T>(relative<T>(m, exponent[first + i], octaves[i])), -ExpTraits<T>::kBias);
      T lanes[W];
      store(lanes, s.first), down[i] = lanes[0];
      store(lanes, s.hi), hi[i] = lanes[0];
      store(lanes, s.lo), lo[i] = lanes[0];
    }
    V d0 = load(down), h = load(hi), l = load(lo), k = load(constant);
    const ExpVector<T> e(scale, 0);
    LaneTotal<T> total;
    for (size_t c = 0; c < cols; c++) {
      Two<V> d = from_top(t, c);
      if (scale.scale1 > 1) d = number(scaled_by(d, scale.scale1, scale.scale2));
      V seen, rest, q = exp_below<false>(e, d, seen, &rest);
      if (normalizing) {
        q = mul(q, d0);
        V y = fma(q, h, mul(q, l));  // no number where the state is not of this row; which NaN depends on the processor
        put(t, c, select_bits(y, k, usual & lanes_above(y, splat((T)-1))));
      } else {
        total.add_both(q, rest);
        if (!summing) put(t, c, q);
      }
    }
    if (normalizing) return;
    double sums[W], rests[W];
    total.sums(sums, rests);
    for (size_t i = 0; summing && i < n; i++) {
      Sum s = to_state<T>(Sum{sums[i], sums[i] == sums[i] ? rests[i] : 0, -ExpTraits<T>::kBias});
      // ∞ − ∞ gives NaN where there may be none but a +∞
      if ((infinite >> i & 1) && !nan_in_lane(t, i)) s.mantissa = infinity<double>();
      put_state(canonical(s, octaves[i]), mantissa + first + i, exponent + first + i);
    }
    if (summing) return;
    for (size_t i = 0; i < W; i++) {
      bool is_usual = (finite >> i & 1) && sums[i] - sums[i] == 0;
      usual |= (uint32_t)is_usual << i;
      constant[i] = extras.layout != kNoMask && empty >> i & 1 && sums[i] == 0 ? 0 : not_a_number<T>();
      Reciprocal<T> r(Sum{is_usual ? sums[i] : 1, is_usual ? rests[i] : 0, 0});
      hi[i] = (T)(r.hi * pow2((int)-r.octave)), lo[i] = (T)(r.lo * pow2((int)-r.octave));
    }
    h = load(hi), l = load(lo), k = load(constant);
    for (size_t c = 0; c < cols; c++) {
      const T* y = out + (o * cols + c) * inner + at;
      V q = n == W ? load(y) : load_n(y, n, (T)0);
      put(t, c, select_bits(fma(q, h, mul(q, l)), k, usual));
    }
  }

  void go() {
    Run r = run;
    if (outer * cols * inner * sizeof(T) < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    r.parallel(outer * tiles(), tile, this);
  }
};

}  // namespace
