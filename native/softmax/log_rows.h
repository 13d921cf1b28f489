// The rows of the logarithmic operators, read as doubles: logits, distances from the maximum, and three readings.
//
// A vector holds W neighbours: of one row or, along an axis that is not the last ("across"), of W rows side by side.
// Both are the same loops; the lanes of one row are merged at the end. A tile is one row, or the W rows of a vector.
//
// A logit is x + bias, exactly, as two doubles; so is its distance from the maximum. Float rows without a bias need one
// double ("exact distance"); log_rounded_distances.h finds the few rows where that rounds too much.
#pragma once
#include "../math/formats.h"
#include "../math/log.h"
#include "../rows/logits.h"
#include "../rows/vector_total.h"

namespace {

// The readings of each lane: of W rows, or of one part of a row.
template <class T> struct LaneReadings {
  static constexpr size_t W = ExpTraits<T>::kLanes;
  double top[W], low[W];   // the maximum is top + low
  double sum[W], rest[W];  // of the terms below the maximum, on the exponent of exp(0)
  double count[W];         // of elements equal to the maximum
  uint32_t visible;        // lanes with an element that is not masked
};

// A tile whose rows have been measured: all that results are made from. A set of rows has a bit a row.
template <class T> struct MeasuredTile : LaneReadings<T> {
  static constexpr size_t W = LaneReadings<T>::W;
  size_t first, n;  // the index of the first element, and the number of rows; all lanes belong to a single row
  double others[W], others_low[W];  // S, the sum of all terms but one maximum, in units of exp(0)
  double log_hi[W], log_lo[W];      // log(1 + S)
  uint32_t non_finite;              // rows without a finite maximum, or with a NaN: their `sum` is their logSumExp
  uint32_t overflowing;             // rows to measure from smaller copies, as LogRows::overflow_suspects says
  // For a loss with terms: factors of the gradient; the classes that are not masked, and the sums of their shares.
  double factor[W], more[W], classes[W], share_sum[W], share_loss[W];
  uint32_t ignored;                 // rows that do not count, for such a loss
  uint32_t nan_results;             // rows whose results are NaN. −∞ alone is no fault where a mask was given.
};

template <class T> struct LogRows {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;  // kParts: f64x8 a vector
  const T* x;
  size_t cols, inner;
  const ExpScale<double>& scale;
  Extras<T> extras;
  double temperature;
  double derivative_factor = 1;
  bool may_overflow = sizeof(T) == 8;  // no reading has shown yet that no row overflows
  bool wants_pairs = false;            // a distance is two doubles in any case

  bool across() const { return inner > 1; }
  size_t vectors() const { return across() ? cols : (cols + W - 1) / W; }
  size_t stride() const { return across() ? inner : W; }
  ALWAYS size_t width(const MeasuredTile<T>& m, size_t v) const {
    return across() ? m.n : cols - v * W < W ? cols - v * W : W;
  }

  NEVER_INLINE uint32_t read_out_of_line(const MeasuredTile<T>& m, size_t v, Two<f64x8>* z) const {
    return read(m, v, z);
  }
  // Reads vector v of a tile: −∞ where masked or outside. Returns the visible lanes.
  template <bool kExactDistance = false> ALWAYS uint32_t read(const MeasuredTile<T>& m, size_t v, Two<f64x8>* z) const {
    size_t i = m.first + v * stride(), n = width(m, v), column = across() ? v : v * W;
    f64x8 a[kParts], b[kParts];
    widen(n == W ? load(x + i) : load_n(x + i, n, (T)0), a);
    UNROLL
    for (size_t p = 0; p < kParts; p++) z[p] = {a[p], splat(0.)};
    if (!kExactDistance && extras.bias.data) {
      bool is_shared = extras.bias.length == cols;
      const T* bias = extras.bias.data + (is_shared ? column : i);
      widen(is_shared && across() ? splat(*bias) : n == W ? load(bias) : load_n(bias, n, (T)0), b);
      UNROLL
      for (size_t p = 0; p < kParts; p++) z[p] = exact_sum(a[p], b[p]);
    }
    uint32_t lanes = (1u << n) - 1;
    if (extras.has_mask()) lanes = extras.lanes(i, column, n, across());
    if (lanes != (1u << W) - 1) {
      UNROLL
      for (size_t p = 0; p < kParts; p++)
        z[p] = {select_bits(z[p].x, splat(-infinity<double>()), lanes >> 8 * p),
                select_bits(z[p].low, splat(0.), lanes >> 8 * p)};
    }
    return lanes;
  }
  ALWAYS Two<f64x8> scaled(Two<f64x8> z) const { return scaled_by(z, scale.scale1, scale.scale2); }

  // Whether one double holds a distance: in float rows without a bias, at a temperature that needs no scaling.
  static constexpr bool kMayHaveExactDistance = sizeof(T) == 4;
  bool has_exact_distance() const {
    return kMayHaveExactDistance && !extras.bias.data && !scale.scaled && !wants_pairs;
  }
  // Returns the distance of z from the maximum, top + low, times the power of two of a far temperature.
  template <bool kExactDistance> ALWAYS Two<f64x8> distance(Two<f64x8> z, f64x8 top, f64x8 low) const {
    if (kExactDistance) return {sub(z.x, top), splat(0.)};
    if (scale.scale1 < 1) {  // scaled down before the subtraction, which could overflow
      Two<f64x8> t = scaled({top, low});
      z = scaled(z);
      top = t.x;
      low = t.low;
    }
    const f64x8 zero = splat(0.), minus = sub(zero, top);
    Two<f64x8> below = {zero, zero};
    // Two sums may differ in their lower parts alone, and these may be large.
    if (extras.bias.data) below = exact_sum(z.low, sub(zero, low));
    Two<f64x8> d = difference({z.x, below.x}, minus);
    d.low = add(d.low, below.low);
    return scale.scale1 > 1 ? scaled(d) : d;
  }

  // ---- The three readings, of vectors [from, to).

  // 1. Finds the upper part of each lane's maximum, and the visible lanes.
  void find_top(const MeasuredTile<T>& m, size_t from, size_t to, LaneReadings<T>& lanes) const {
    f64x8 top[kParts];
    for (auto& t : top) t = splat(-infinity<double>());
    uint32_t visible = 0;
    for (size_t v = from; v < to; v++) {
      Two<f64x8> z[kParts];
      visible |= read(m, v, z);
      UNROLL
      for (size_t p = 0; p < kParts; p++) top[p] = max_skip_nan(top[p], z[p].x);
    }
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      store(lanes.top + 8 * p, top[p]);
      store(lanes.low + 8 * p, splat(0.));
    }
    lanes.visible = visible;
  }
  // 2. Finds the lower part of each lane's maximum. Only a bias makes one.
  void find_low(const MeasuredTile<T>& m, size_t from, size_t to, LaneReadings<T>& lanes) const {
    f64x8 low[kParts];
    for (auto& l : low) l = splat(-infinity<double>());
    for (size_t v = from; v < to; v++) {
      Two<f64x8> z[kParts];
      read(m, v, z);
      UNROLL
      for (size_t p = 0; p < kParts; p++) {
        uint32_t below = lanes_above(load(m.top + 8 * p), z[p].x);
        low[p] = max_skip_nan(low[p], select_bits(splat(-infinity<double>()), z[p].low, below));
      }
    }
    UNROLL
    for (size_t p = 0; p < kParts; p++) store(lanes.low + 8 * p, low[p]);
  }
  // 3. Sums the terms of each lane that lie below the maximum, and counts the elements equal to the maximum.
  template <bool kExactDistance>
  void sum_terms(const MeasuredTile<T>& m, size_t from, size_t to, LaneReadings<T>& lanes) const {
    // Vectors that are added before VectorTotal takes their sum. Across rows a lane sums a whole row: the errors of
    // equal terms would add up in a longer chain.
    const size_t chain = kMayHaveExactDistance ? (across() ? 8 : 64) : across() ? 4 : 8;
    const ExpVector<double> e(scale, 0);
    // A distance below `least` counts as 0: its term is exp(0), and subnormal numbers are slow to compare.
    const f64x8 one = splat(1.), zero = splat(0.), least = splat(0x1p-1022);
    VectorTotal<double> total[kParts];
    f64x8 count[kParts], top[kParts], low[kParts];
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      count[p] = zero;
      top[p] = load(m.top + 8 * p);
      low[p] = load(m.low + 8 * p);
    }
    while (from < to) {
      size_t end = to - from < chain ? to : from + chain;
      f64x8 sum[kParts];
      UNROLL
      for (size_t p = 0; p < kParts; p++) sum[p] = zero;
      for (; from < end; from++) {
        Two<f64x8> z[kParts];
        read<kExactDistance>(m, from, z);
        UNROLL
        for (size_t p = 0; p < kParts; p++) {
          Two<f64x8> d = distance<kExactDistance>(z[p], top[p], low[p]);
          f64x8 t, q = kExactDistance ? exp_below<false>(e, d.x, t) : exp_below<false>(e, d, t);
          f64x8 down = sub(zero, kExactDistance ? d.x : add(d.x, d.low));
          if (lanes_above(down, zero) != 0xFF) {  // a lane has its maximum here, or a NaN
            count[p] = add(count[p], sub(one, zero_below(one, down, least)));
            q = zero_below(q, down, least);
          }
          sum[p] = add(sum[p], q);
        }
      }
      UNROLL
      for (size_t p = 0; p < kParts; p++) total[p].add_pair(sum[p], zero);
    }
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      store(lanes.sum + 8 * p, total[p].sum);
      store(lanes.rest + 8 * p, total[p].rest);
      store(lanes.count + 8 * p, count[p]);
    }
  }

  // ---- What follows from the readings.

  // exp(0) on the exponent of the terms, without their factor g; g and 1 / g.
  static constexpr double kExpOfZero = 0x1p513, kG = ExpTraits<double>::kG, kInverseG = 1 / kG;
  // Computes S and log(1 + S) of row i. Max error of the logarithm: 2^-58 of its size, beside the error of S.
  void finish_row(MeasuredTile<T>& m, size_t i) const {
    const double inverse_low = FUSED_F64(-kInverseG, kG, 1) * kInverseG;
    double hi = m.sum[i] * kInverseG;
    double lo = FUSED_F64(m.sum[i], kInverseG, -hi) + (m.sum[i] * inverse_low + m.rest[i] * kInverseG);
    Pair others = two_sum_pair(m.count[i] - 1, hi / kExpOfZero);
    others.lo += lo / kExpOfZero;
    others = two_sum_pair(others.hi, others.lo);
    m.others[i] = others.hi;
    m.others_low[i] = others.lo;
    Pair log = log1p_pair(others.hi, others.lo);
    m.log_hi[i] = log.hi;
    m.log_lo[i] = log.lo;
  }
  // Returns log Σ exp(x / T) = max / T + log(1 + S) of row i, rounded once. It is also log of a single sum.
  double log_sum_exp(const MeasuredTile<T>& m, size_t i) const {
    if (m.non_finite >> i & 1) return m.sum[i];
    const bool scales_up = scale.scale1 > 1;
    double top = m.top[i], low = m.low[i], divisor = scales_up ? scale.temperature : temperature;
    if (scales_up) {
      top = top * scale.scale1 * scale.scale2;
      low = low * scale.scale1 * scale.scale2;
    }
    double t = top / divisor;
    if (t - t != 0) return t;
    double rest = (FUSED_F64(-t, divisor, top) + low) / divisor;
    Pair sum = two_sum_pair(t, m.log_hi[i]);
    return sum.hi + (sum.lo + (rest + m.log_lo[i]));
  }
  // Returns the rows in which x + bias, or a distance from the maximum, may overflow while its quotient by the
  // temperature does not.
  uint32_t overflow_suspects(const MeasuredTile<T>& m) const {
    uint32_t suspects = 0;
    for (size_t i = 0; may_overflow && i < W; i++) {
      bool is_far = !(m.top[i] > -0x1p900 && m.top[i] < kNearEnd<double>);
      bool is_large = temperature > 1 && m.top[i] > 0x1p900;
      suspects |= (uint32_t)(extras.bias.data ? temperature > 1 || is_far : is_large) << i;
    }
    return suspects;
  }
  // Returns the suspects that have a logit near the end of the range. In one row, all lanes.
  SELDOM uint32_t find_overflowing(const MeasuredTile<T>& m, uint32_t suspects) const {
    // Half of such a logit is at least this. At the lowest temperatures a copy of an eighth would lose bits, so only a
    // logit that overflows counts.
    const double least = temperature < 0x1p-1000 ? kNearEnd<double> : kNearEnd<double> / 2;
    const bool is_shared = extras.bias.length == cols;
    uint32_t found = 0;
    for (size_t v = 0; v < vectors(); v++) {
      size_t i = m.first + v * stride(), n = width(m, v), column = across() ? v : v * W;
      f64x8 a[kParts], b[kParts];
      widen(load_n(x + i, n, (T)0), a);
      for (f64x8& each : b) each = splat(0.);
      if (extras.bias.data)
        widen(is_shared && across() ? splat(extras.bias.data[column])
                                    : load_n(extras.bias.data + (is_shared ? column : i), n, (T)0),
              b);
      uint32_t lanes = !extras.has_mask() ? (1u << n) - 1 : extras.lanes(i, column, n, across());
      found |= finite_from(half_sum(a[0], b[0]), least) & lanes;
    }
    return across() || !found ? found & suspects : (1u << W) - 1;
  }
  // Returns the rows with a NaN. In one row, all lanes. A +∞ hides a NaN from the sums.
  SELDOM uint32_t find_nan_rows(const MeasuredTile<T>& m) const {
    uint32_t nan_rows = 0;
    for (size_t v = 0; v < vectors(); v++) {
      Two<f64x8> z[kParts];
      double logits[W];
      read_out_of_line(m, v, z);
      UNROLL
      for (size_t p = 0; p < kParts; p++) store(logits + 8 * p, z[p].x);
      for (size_t i = 0; i < W; i++) nan_rows |= (uint32_t)(logits[i] != logits[i]) << i;
    }
    return across() || !nan_rows ? nan_rows : (1u << W) - 1;
  }
};

}  // namespace
