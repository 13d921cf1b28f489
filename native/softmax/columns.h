// softmax, exp_sum and normalize along an axis that is not the last: x is [outer, cols, inner].
//
//   1. A tile is W rows side by side: a vector holds one element of each, so a lane is a row and nothing is transposed.
//   2. The first reading finds the maximum of each lane: find_top. A row that overflows is read as halves.
//   3. The second reading computes terms of distances from the maximum, so one exponent serves all lanes. A distance is
//      exact: it is kept as two numbers. softmax stores terms and sums them; exp_sum sums them; normalize scales them.
//   4. softmax scales the stored terms. exp_sum writes the sums as states.
#pragma once
#include "../rows/share_rows.h"
#include "../rows/vector_total.h"
#include "reciprocal.h"
#include "state.h"

namespace {

// The sum of each lane, in doubles.
template <class T> struct LaneTotals;
template <> struct LaneTotals<float> {
  f64x8 low = splat(0.), high = splat(0.);
  ALWAYS void add_pair(f32x16 v, f32x16 rest) {
    low = add(low, add(low_f64(v), low_f64(rest)));
    high = add(high, add(high_f64(v), high_f64(rest)));
  }
  ALWAYS void store_sums(double* sums, double* rests) const {
    store(sums, low);
    store(sums + 8, high);
    for (int i = 0; i < 16; i++) rests[i] = 0;
  }
};
template <> struct LaneTotals<double> : VectorTotal<double> {
  ALWAYS void store_sums(double* sums, double* rests) const {
    store(sums, sum);
    store(rests, rest);
  }
};

// softmax has `out` alone, exp_sum has states alone (mantissa, exponent), normalize has both.
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

  // Rows [at, at + n) of one outer index. minus_top is the negated maximum, minus_second the negated rounding error in
  // it. If is_far, x and bias are multiplied by before1 · before2, and distances by `after`.
  struct Tile {
    size_t outer_index, at, n;
    V minus_top, minus_second, before1, before2, after;
    bool is_far;
  };
  ALWAYS size_t index_of(const Tile& t, size_t c) const { return (t.outer_index * cols + c) * inner + t.at; }
  static ALWAYS V load_rows(const T* from, size_t n) { return n == W ? load(from) : load_n(from, n, (T)0); }
  ALWAYS V bias_at(size_t i, size_t c, size_t n) const {
    return extras.bias.length == cols ? splat(extras.bias.data[c]) : load_rows(extras.bias.data + i, n);
  }
  // Returns column c of a tile, −∞ where masked.
  ALWAYS Two<V> logit(const Tile& t, size_t c) const {
    size_t i = index_of(t, c);
    Two<V> z = {load_rows(x + i, t.n), splat((T)0)};
    if (t.is_far) z = far_logit(t, z.x, i, c);
    else if (extras.bias.data) z = exact_sum(z.x, bias_at(i, c, t.n));
    if (extras.has_mask()) {
      uint32_t lanes = extras.lanes(i, c, t.n, true);
      z = {select_bits(z.x, splat(-infinity<T>()), lanes), select_bits(z.low, splat((T)0), lanes)};
    }
    return z;
  }
  SELDOM Two<V> far_logit(const Tile& t, V v, size_t i, size_t c) const {
    V a = mul(mul(v, t.before1), t.before2);
    return extras.bias.data ? exact_sum(a, mul(mul(bias_at(i, c, t.n), t.before1), t.before2)) : Two<V>{a, splat((T)0)};
  }
  // Returns the distances of column c from the maxima.
  ALWAYS Two<V> distance(const Tile& t, size_t c) const {
    return difference(difference(logit(t, c), t.minus_top), t.minus_second);
  }
  // Returns the rows in which a visible sum of two finite numbers overflows.
  SELDOM uint32_t overflowing_rows(const Tile& t) const {
    uint32_t rows = 0;
    for (size_t c = 0; c < cols; c++) {
      size_t i = index_of(t, c);
      uint32_t lanes = overflowing(load_rows(x + i, t.n), bias_at(i, c, t.n));
      rows |= !extras.has_mask() ? lanes : lanes & extras.lanes(i, c, t.n, true);
    }
    return rows;
  }
  // Reads some rows as halves from now on. Returns the new maxima.
  SELDOM V halve_rows(Tile& t, uint32_t rows) const {
    t.is_far = true;
    t.before1 = select_bits(splat((T)0.5), t.before1, rows);
    t.after = select_bits(splat((T)2), t.after, rows);
    return find_top(t);
  }
  ALWAYS V find_top(const Tile& t) const {
    V top = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) top = max_skip_nan(top, logit(t, c).x);
    return top;
  }
  // Returns the negated rounding error of x + bias in the maximum of each row. It may be large.
  SELDOM V find_minus_second(const Tile& t) const {
    V top = splat(-infinity<T>());
    for (size_t c = 0; c < cols; c++) top = max_skip_nan(top, distance(t, c).x);
    return sub(splat((T)0), top);
  }
  SELDOM bool has_nan_in_lane(const Tile& t, size_t lane) const {
    Tile row = t;
    row.at += lane;
    row.n = 1;
    bool has_nan = false;
    for (size_t c = 0; c < cols; c++) {
      T v[W];
      store(v, logit(row, c).x);
      has_nan |= v[0] != v[0];
    }
    return has_nan;
  }
  ALWAYS void store_rows(const Tile& t, size_t c, V v) const {
    T* y = out + (t.outer_index * cols + c) * inner + t.at;
    t.n == W ? store(y, v) : store_n(y, v, t.n);
  }
  // Writes v in ordinary rows; in other rows `constant`, or 0 where masked.
  ALWAYS void store_results(const Tile& t, size_t c, V v, V constant, uint32_t ordinary_rows) const {
    const uint32_t all = (1u << t.n) - 1;
    store_rows(t, c, (ordinary_rows & all) == all ? v : with_constants(t, c, v, constant, ordinary_rows));
  }
  SELDOM V with_constants(const Tile& t, size_t c, V v, V constant, uint32_t ordinary_rows) const {
    v = select_bits(v, constant, ordinary_rows);
    return !extras.has_mask() ? v : select_bits(v, splat((T)0), extras.lanes(index_of(t, c), c, t.n, true));
  }
  static ALWAYS uint32_t lanes_infinite(V v) {
    return ~(lanes_above(v, splat(-infinity<T>())) & lanes_above(splat(infinity<T>()), v));
  }

  static void process_tile(void* self, size_t index) {
    Columns& s = *(Columns*)self;
    if (!s.run.stopped()) s.process_tile(index / s.tiles(), index % s.tiles() * W);
  }
  // Computes rows [at, at + W) of one outer index.
  void process_tile(size_t o, size_t at) {
    const V zero = splat((T)0);
    // A large temperature scales x and bias before all else, as a sum or a difference could overflow.
    const bool scales_down = scale.scale1 < 1;
    const V one = splat((T)1), before1 = scales_down ? splat(scale.scale1) : one;
    const V before2 = scales_down ? splat(scale.scale2) : one;
    Tile t = {o, at, inner - at < W ? inner - at : W, zero, zero, before1, before2, one, scales_down};
    const size_t n = t.n, first = o * inner + at;
    const bool is_summing = !out, is_normalizing = out && mantissa;

    // 1. The maximum of each row.
    V top = find_top(t);
    if (extras.bias.data && !scales_down) {
      uint32_t all = (1u << n) - 1, near_end = scale.scale1 > 1 ? 0 : finite_from(top, kNearEnd<T>) & all;
      uint32_t infinite_tops = lanes_infinite(top) & all;
      if (infinite_tops) near_end |= overflowing_rows(t) & infinite_tops;
      if (near_end) top = halve_rows(t, near_end);
    }
    T tops[W], seconds[W], afters[W], constant[W] = {}, pre_factor[W] = {}, hi[W] = {}, lo[W] = {};
    // Rows, a bit each: with results by the formula, with a +∞, without a logit above −∞, with a finite maximum.
    uint32_t ordinary_rows = 0, infinite = 0, empty = 0, finite = 0;
    store(tops, top);
    for (size_t i = 0; i < W; i++) {
      if (tops[i] - tops[i] == 0) {
        finite |= 1u << i;
      } else {
        (tops[i] > 0 ? infinite : empty) |= 1u << i;
        tops[i] = 0;
      }
    }
    t.minus_top = sub(zero, load(tops));
    if (extras.bias.data) t.minus_second = select_bits(find_minus_second(t), zero, finite);

    // 2. The maximum in octaves, for states; and how normalize scales the terms of each row.
    Octaves octaves[W];
    if (mantissa) {
      store(tops, sub(zero, t.minus_top));
      store(seconds, sub(zero, t.minus_second));
      store(afters, t.after);
      double up1 = scales_down ? 1 : scale.scale1, up2 = scales_down ? 1 : scale.scale2;
      for (size_t i = 0; i < n; i++) {
        double after = afters[i];
        octaves[i] = Octaves::of(tops[i] * after * up1 * up2, seconds[i] * after * up1 * up2, scale.temperature);
      }
    }
    for (size_t i = 0; is_normalizing && i < n; i++) {
      double m = mantissa[first + i];
      constant[i] = m == 0 && extras.has_mask() && (empty >> i & 1) && !has_nan_in_lane(t, i) ? 0 : not_a_number<T>();
      if (!is_ordinary(m) || (infinite >> i & 1)) continue;
      ordinary_rows |= 1u << i;
      int32_t e = exponent[first + i];
      Sum total = sizeof(T) == 8 ? to_exact_relative(m, e, octaves[i]) : to_relative<T>(m, e, octaves[i]);
      Scaler<T> s(Reciprocal<T>(total), -ExpTraits<T>::kBias);
      T lanes[W];
      store(lanes, s.pre_factor);
      pre_factor[i] = lanes[0];
      store(lanes, s.hi);
      hi[i] = lanes[0];
      store(lanes, s.lo);
      lo[i] = lanes[0];
    }

    // 3. The terms: summed, stored, or scaled by a state.
    V pre = load(pre_factor), h = load(hi), l = load(lo), k = load(constant);
    const ExpVector<T> e(scale, 0);
    LaneTotals<T> total;
    for (size_t c = 0; c < cols; c++) {
      Two<V> d = distance(t, c);
      if (t.is_far && !scales_down) d = {mul(d.x, t.after), mul(d.low, t.after)};
      if (!scales_down && (t.is_far || scale.scale1 > 1)) d = scaled_by(d, scale.scale1, scale.scale2);
      V window_bits, rest, q = exp_below<false>(e, d, window_bits, &rest);
      if (is_normalizing) {
        q = mul(q, pre);
        // The state of another row can make y a NaN. Processors differ in its bits: `constant` replaces it.
        V y = fma(q, h, mul(q, l));
        store_results(t, c, y, k, ordinary_rows & lanes_above(y, splat((T)-1)));
      } else {
        total.add_pair(q, rest);
        if (!is_summing) store_rows(t, c, q);
      }
    }
    if (is_normalizing) return;

    // 4. The sums: states, or the reciprocals that scale the stored terms.
    double sums[W], rests[W];
    total.store_sums(sums, rests);
    for (size_t i = 0; is_summing && i < n; i++) {
      Sum s = {sums[i], sums[i] == sums[i] ? rests[i] : 0, -ExpTraits<T>::kBias};
      // The term of a +∞ is NaN (∞ − ∞). The sum of its row is +∞ unless the row has a NaN.
      if ((infinite >> i & 1) && !has_nan_in_lane(t, i)) s.mantissa = infinity<double>();
      const Sum state = sizeof(T) == 8 ? to_exact_state(s, octaves[i]) : to_canonical(to_state<T>(s), octaves[i]);
      store_state(state, mantissa + first + i, exponent + first + i);
    }
    if (is_summing) return;
    for (size_t i = 0; i < W; i++) {
      bool is_finite = (finite >> i & 1) && sums[i] - sums[i] == 0;
      ordinary_rows |= (uint32_t)is_finite << i;
      constant[i] = extras.has_mask() && empty >> i & 1 && sums[i] == 0 ? 0 : not_a_number<T>();
      Reciprocal<T> r(Sum{is_finite ? sums[i] : 1, is_finite ? rests[i] : 0, 0});
      hi[i] = (T)(r.hi * pow2((int)-r.octave));
      lo[i] = (T)(r.lo * pow2((int)-r.octave));
    }
    h = load(hi);
    l = load(lo);
    k = load(constant);
    for (size_t c = 0; c < cols; c++) {
      const T* y = out + (o * cols + c) * inner + at;
      V q = n == W ? load(y) : load_n(y, n, (T)0);
      store_results(t, c, fma(q, h, mul(q, l)), k, ordinary_rows);
    }
  }

  void run_tiles() { for_bytes(run, outer * cols * inner * sizeof(T)).parallel(outer * tiles(), process_tile, this); }
};

}  // namespace
