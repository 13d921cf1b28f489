// Softmax, states and normalized chunks (partial.h) along an axis that is not the last: x is [outer, cols, inner]. A vector holds
// neighbours along `inner`, so each lane is a row of its own and nothing is transposed. Every lane's maximum is known first and
// taken off exactly (the difference is kept as two numbers), so one exponent serves all lanes.
#pragma once
#include "../rows/share_rows.h"
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
  // `far`: x and bias are multiplied by `before` and `before2` first, and distances by `after`, a number for each row.
  struct Tile {
    size_t o, at, n;
    V minus, second, before, before2, after;
    bool far;
  };
  ALWAYS size_t index_of(const Tile& t, size_t c) const { return (t.o * cols + c) * inner + t.at; }
  static ALWAYS V some(const T* from, size_t n) { return n == W ? load(from) : load_n(from, n, (T)0); }
  ALWAYS V bias_at(size_t i, size_t c, size_t n) const { return extras.bias.length == cols ? splat(extras.bias.data[c]) : some(extras.bias.data + i, n); }
  // Element c of a tile's rows, masked ones as −∞.
  ALWAYS Two<V> logit(const Tile& t, size_t c) const {
    size_t i = index_of(t, c);
    Two<V> z = {some(x + i, t.n), splat((T)0)};
    if (t.far) z = moved(t, z.x, i, c);
    else if (extras.bias.data) z = exact_sum(z.x, bias_at(i, c, t.n));
    if (extras.has_mask()) {
      uint32_t lanes = extras.lanes(i, c, t.n, true);
      z = {select_bits(z.x, splat(-infinity<T>()), lanes), select_bits(z.low, splat((T)0), lanes)};
    }
    return z;
  }
  SELDOM Two<V> moved(const Tile& t, V v, size_t i, size_t c) const {
    V a = mul(mul(v, t.before), t.before2);
    return extras.bias.data ? exact_sum(a, mul(mul(bias_at(i, c, t.n), t.before), t.before2)) : Two<V>{a, splat((T)0)};
  }
  ALWAYS Two<V> from_top(const Tile& t, size_t c) const {
    return difference(difference(logit(t, c), t.minus), t.second);
  }
  // Rows with a visible sum of finite numbers that overflows: they are read as halves.
  SELDOM uint32_t overflowing_rows(const Tile& t) const {
    uint32_t rows = 0;
    for (size_t c = 0; c < cols; c++) {
      size_t i = index_of(t, c);
      uint32_t lanes = overflowing(some(x + i, t.n), bias_at(i, c, t.n));
      rows |= !extras.has_mask() ? lanes : lanes & extras.lanes(i, c, t.n, true);
    }
    return rows;
  }
  SELDOM V halve_rows(Tile& t, uint32_t rows) const {
    t.far = true, t.before = select_bits(splat((T)0.5), t.before, rows), t.after = select_bits(splat((T)2), t.after, rows);
    return top_of(t);
  }
  ALWAYS V top_of(const Tile& t) const {
    V top = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) top = max_skip_nan(top, logit(t, c).x);
    return top;
  }
  // What rounding took from x + bias is all there is of the largest, and may itself be large.
  SELDOM V second_of(const Tile& t) const {
    V most = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) most = max_skip_nan(most, from_top(t, c).x);
    return sub(splat((T)0), most);
  }
  SELDOM bool nan_in_lane(const Tile& t, size_t lane) const {
    Tile one = t;
    one.at += lane, one.n = 1;
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
  // v in the rows `usual`; in others `constant`, or 0 where masked.
  ALWAYS void put_usual(const Tile& t, size_t c, V v, V constant, uint32_t usual) const {
    const uint32_t all = (1u << t.n) - 1;
    put(t, c, (usual & all) == all ? v : with_constants(t, c, v, constant, usual));
  }
  SELDOM V with_constants(const Tile& t, size_t c, V v, V constant, uint32_t usual) const {
    v = select_bits(v, constant, usual);
    return !extras.has_mask() ? v : select_bits(v, splat((T)0), extras.lanes(index_of(t, c), c, t.n, true));
  }
  static ALWAYS uint32_t lanes_infinite(V v) { return ~(lanes_above(v, splat(-infinity<T>())) & lanes_above(splat(infinity<T>()), v)); }

  static void tile(void* self, size_t index) {
    Columns& s = *(Columns*)self;
    if (!s.run.stopped()) s.tile(index / s.tiles(), index % s.tiles() * W);
  }
  void tile(size_t o, size_t at) {
    const V zero = splat((T)0);
    const bool shrunk = scale.scale1 < 1;  // first of all then, where a sum or a difference could overflow
    const V one = splat((T)1), before = shrunk ? splat(scale.scale1) : one, before2 = shrunk ? splat(scale.scale2) : one;
    Tile t = {o, at, inner - at < W ? inner - at : W, zero, zero, before, before2, one, shrunk};
    const size_t n = t.n, first = o * inner + at;
    const bool summing = !out, normalizing = out && mantissa;
    V top = top_of(t);
    if (extras.bias.data && !shrunk) {
      uint32_t all = (1u << n) - 1, near_end = scale.scale1 > 1 ? 0 : finite_from(top, kNearEnd<T>) & all, infinite = lanes_infinite(top) & all;
      if (infinite) near_end |= overflowing_rows(t) & infinite;
      if (near_end) top = halve_rows(t, near_end);
    }
    T tops[W], seconds[W], afters[W], constant[W] = {}, down[W] = {}, hi[W] = {}, lo[W] = {};
    uint32_t usual = 0, infinite = 0, empty = 0, finite = 0;
    store(tops, top);
    for (size_t i = 0; i < W; i++) {
      if (tops[i] - tops[i] == 0) finite |= 1u << i;
      else (tops[i] > 0 ? infinite : empty) |= 1u << i, tops[i] = 0;
    }
    t.minus = sub(zero, load(tops));
    if (extras.bias.data) t.second = select_bits(second_of(t), zero, finite);
    Octaves octaves[W];
    if (mantissa) {
      store(tops, sub(zero, t.minus)), store(seconds, sub(zero, t.second));
      store(afters, t.after);
      double up = shrunk ? 1 : scale.scale1, up2 = shrunk ? 1 : scale.scale2;
      for (size_t i = 0; i < n; i++) {
        double twice = afters[i];
        octaves[i] = Octaves::of(tops[i] * twice * up * up2, seconds[i] * twice * up * up2, scale.temperature);
      }
    }
    for (size_t i = 0; normalizing && i < n; i++) {
      double m = mantissa[first + i];
      constant[i] = m == 0 && extras.has_mask() && (empty >> i & 1) && !nan_in_lane(t, i) ? 0 : not_a_number<T>();
      if (!ordinary(m) || (infinite >> i & 1)) continue;
      usual |= 1u << i;
      int32_t e = exponent[first + i];
      Sum total = sizeof(T) == 8 ? exact_relative(m, e, octaves[i]) : relative<T>(m, e, octaves[i]);
      Scaler<T> s(Reciprocal<T>(total), -ExpTraits<T>::kBias);
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
      if (t.far && !shrunk) d = {mul(d.x, t.after), mul(d.low, t.after)};
      if (!shrunk && (t.far || scale.scale1 > 1)) d = scaled_by(d, scale.scale1, scale.scale2);
      V seen, rest, q = exp_below<false>(e, d, seen, &rest);
      if (normalizing) {
        q = mul(q, d0);
        V y = fma(q, h, mul(q, l));  // no number where the state is not of this row; which NaN depends on the processor
        put_usual(t, c, y, k, usual & lanes_above(y, splat((T)-1)));
      } else {
        total.add_both(q, rest);
        if (!summing) put(t, c, q);
      }
    }
    if (normalizing) return;
    double sums[W], rests[W];
    total.sums(sums, rests);
    for (size_t i = 0; summing && i < n; i++) {
      Sum s = {sums[i], sums[i] == sums[i] ? rests[i] : 0, -ExpTraits<T>::kBias};
      // ∞ − ∞ gives NaN where there may be none but a +∞
      if ((infinite >> i & 1) && !nan_in_lane(t, i)) s.mantissa = infinity<double>();
      const Sum state = sizeof(T) == 8 ? exact_state(s, octaves[i]) : canonical(to_state<T>(s), octaves[i]);
      put_state(state, mantissa + first + i, exponent + first + i);
    }
    if (summing) return;
    for (size_t i = 0; i < W; i++) {
      bool is_usual = (finite >> i & 1) && sums[i] - sums[i] == 0;
      usual |= (uint32_t)is_usual << i;
      constant[i] = extras.has_mask() && empty >> i & 1 && sums[i] == 0 ? 0 : not_a_number<T>();
      Reciprocal<T> r(Sum{is_usual ? sums[i] : 1, is_usual ? rests[i] : 0, 0});
      hi[i] = (T)(r.hi * pow2((int)-r.octave)), lo[i] = (T)(r.lo * pow2((int)-r.octave));
    }
    h = load(hi), l = load(lo), k = load(constant);
    for (size_t c = 0; c < cols; c++) {
      const T* y = out + (o * cols + c) * inner + at;
      V q = n == W ? load(y) : load_n(y, n, (T)0);
      put_usual(t, c, fma(q, h, mul(q, l)), k, usual);
    }
  }

  void go() { for_bytes(run, outer * cols * inner * sizeof(T)).parallel(outer * tiles(), tile, this); }
};

}  // namespace
