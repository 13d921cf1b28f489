// The sums of short rows for the logarithmic operators, a tile of W neighbouring rows at a time:
//
//   1. The maximum of each row, and the terms below it, in double: eight sums a row, of every eighth element.
//      Very short rows are transposed first, so that a lane is a row. Longer rows are read as vectors of neighbours.
//      Both make the same eight sums, so a row has the same bits wherever it stands.
//   2. S and log(1 + S) of all rows, in vectors (log_row_sum.h defines S).
//
// Masked rows are copied first, −∞ in place of masked logits, so that no step reads a mask.
// A row that needs more is special: it has a NaN, no finite maximum, or distances from it that no double holds.
#pragma once
#include "log_rows.h"

namespace {

// Elements up to which rows are tiles of W, and up to which they are transposed.
constexpr size_t kLogTileRow = 512, kTransposedRow = 24;

template <class T> struct ShortLogSums {
  using V = typename ExpTraits<T>::Vector;
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  static constexpr bool kIsFloat = sizeof(T) == 4;
  // Elements of a lane that are added before their sum takes its rounding error along: equal terms err alike.
  static constexpr size_t kChain = 8;
  const LogRows<T>& logits;
  size_t row_count;

  static bool may_have(const LogRows<T>& rows) {
    return !rows.across() && rows.cols <= kLogTileRow && !rows.scale.scaled && !rows.extras.bias.data;
  }

  struct Tile {
    size_t first, n;  // the first row, and the number of rows
    size_t parts;     // f64x8 of rows
    bool by_columns;  // the lanes are rows
    const T* x;       // the logits of the rows, −∞ where masked
    alignas(64) double top[W], count[W];
    double sums[8][W], rests[8][W];     // of terms below the maximum, on the exponent of exp(0)
    double others[W], others_low[W];    // S
    double log_hi[W], log_lo[W];        // log(1 + S)
    double share[W], share_low[W];      // 1 / ((1 + S) T)
    double target[W];                   // the logit of the target
    uint32_t special;                   // rows that log_tiles.h computes
    T columns[kTransposedRow + W][W];   // transposed logits
  };

  // ---- Reading.

  // Elements of a copied tile: its rows, and a vector behind them.
  static constexpr size_t kCopied = W * (kLogTileRow + 1);
  // Rows that are not worth a transposition.
  static constexpr size_t kFewRows = W / 4;

  // Elements that a transposition reads.
  ALWAYS size_t transposed() const { return (W - 1) * logits.cols + (logits.cols + W - 1) / W * W; }
  ALWAYS void place(Tile& t, size_t i) const {
    t.first = i * W;
    t.n = row_count - t.first < W ? row_count - t.first : W;
    t.by_columns = logits.cols <= kTransposedRow && t.n > kFewRows;
    t.parts = t.by_columns ? kParts : (t.n + 7) / 8;
    t.x = logits.x + t.first * logits.cols;
    t.special = 0;
  }
  // Masked rows are copied, so that no later step reads a mask. So are rows whose transposition would read beyond the
  // end of x: zeros stand behind their copy.
  ALWAYS bool needs_copy(const Tile& t) const {
    if (logits.extras.has_mask()) return true;
    return t.by_columns && t.first * logits.cols + transposed() > row_count * logits.cols;
  }
  NEVER_INLINE void copy_rows(Tile& t, T* copy) const {
    const size_t cols = logits.cols, from = t.first * cols, length = t.n * cols;
    // Rows with masks of their own are neighbours in the mask too.
    const bool is_shared = logits.extras.shared_mask();
    const size_t step = is_shared ? cols : length;
    const Mask& mask = logits.extras.mask;
    for (size_t at = 0; at < length; at += step) {
      for (size_t c = 0; c < step; c += W) {
        const size_t n = step - c < W ? step - c : W, mask_at = is_shared ? c : from + c;
        V v = n < W ? load_n(t.x + at + c, n, (T)0) : load(t.x + at + c);
        if (mask.layout != kNoMask)
          v = select_bits(v, splat(-infinity<T>()), mask_lanes(mask.data, mask.layout, mask_at, n));
        store(copy + at + c, v);
      }
    }
    for (size_t at = length; t.by_columns && at < transposed(); at += W) store(copy + at, splat((T)0));
    t.x = copy;
  }
  // Calls each(vector, column, width) for the vectors of elements [from, to).
  template <class Each> static ALWAYS void each_vector(const T* x, size_t from, size_t to, Each each) {
    size_t c = from;
    for (; c + W <= to; c += W) each(load(x + c), c, W);
    if (c < to) each(load_n(x + c, to - c, -infinity<T>()), c, to - c);
  }
  // Transposes a W × W square. The rows of `from` are `stride` apart, those of `to` adjacent.
  static NEVER_INLINE void transpose(const float* from, size_t stride, float* to) { transpose16(from, stride, to); }
  static ALWAYS void transpose(const double* from, size_t stride, double* to) {
    for (size_t i = 0; i < 8; i++)
      for (size_t j = 0; j < 8; j++) to[8 * j + i] = from[i * stride + j];
  }

  // ---- Terms.

  // Returns v with −∞ in place of the maximum, and adds 1 to `count` where that is. A NaN stays one.
  static ALWAYS V below_top(V v, V top, V& count) {
    count = add(count, zero_below(splat((T)1), v, top));
    return sub(v, zero_below(splat(infinity<T>()), v, top));
  }
  // Returns terms of distances from the maximum.
  template <bool kExact> static ALWAYS f64x8 term(const ExpVector<double>& e, f64x8 x, f64x8 top) {
    f64x8 t;
    if (!kIsFloat) return exp_below<false>(e, exact_sum(x, sub(splat(0.), top)), t);
    // A term below the window, −∞ too, is 2^-1534: nothing beside the maximum.
    const f64x8 d = raise_to(e.low, sub(x, top));
    return kExact ? exp_inside<false>(e, d, t) : exp_inside_for_float(e, d);
  }
  // Bits that are not 0 where a logit is not 0, and no more than `limit`.
  static ALWAYS V small_logits(V bits, V v, V limit) {
    const V size = max_skip_nan(v, sub(splat((T)0), v)), small = zero_below(size, limit, size);
    return or_bits(bits, small, small);
  }
  // The largest logit whose distance from a float maximum rounds visibly (log_rounded_distances.h).
  ALWAYS T small_limit(double top) const { return top > 2 * logits.temperature ? (T)(top * 0x1p-28) : 0; }

  struct Total {
    f64x8 sum, rest;
    ALWAYS void take(f64x8 v) {
      const Two<f64x8> next = two_sum(sum, v);
      sum = next.x;
      rest = add(rest, next.low);
    }
  };
  // A lane without a row: a single logit of 0.
  static ALWAYS void fill_lane(Tile& t, size_t i) {
    t.top[i] = 0;
    t.count[i] = 1;
    for (size_t j = 0; j < 8; j++) t.sums[j][i] = t.rests[j][i] = 0;
  }
  static NEVER_INLINE T top_of(const T* x, size_t cols) {
    V tops = splat(-infinity<T>());
    each_vector(x, 0, cols, [&](V v, size_t, size_t) ALWAYS_LAMBDA { tops = max_skip_nan(tops, v); });
    return reduce_max(tops);
  }
  // Sums rows whose vectors are neighbours in a row.
  template <bool kExact> NEVER_INLINE void sum_rows(Tile& t) const {
    const size_t cols = logits.cols;
    const ExpVector<double> e(logits.scale, 0);
    const f64x8 zero = splat(0.);
    for (size_t i = t.n; i < W; i++) fill_lane(t, i);
    // All maxima first: the sum of each row would wait for its own.
    T tops[W];
    for (size_t i = 0; i < t.n; i++) tops[i] = top_of(t.x + i * cols, cols);
    for (size_t i = 0; i < t.n; i++) {
      const T *x = t.x + i * cols, top = tops[i];
      V count = splat((T)0), small = splat((T)0);
      const V top_vector = splat(top), limit = splat(small_limit(top));
      const f64x8 wide_top = splat((double)top);
      Total total = {zero, zero};
      f64x8 sum = zero;
      const auto add_vector = [&](V v, size_t, size_t) ALWAYS_LAMBDA {
        if (kExact && kIsFloat) small = small_logits(small, v, limit);
        f64x8 z[kParts];
        widen(below_top(v, top_vector, count), z);
        UNROLL for (size_t p = 0; p < kParts; p++) sum = add(sum, term<kExact>(e, z[p], wide_top));
      };
      size_t c = 0;
      // A chain of floats is four vectors, which are a fifth faster without a loop.
      for (; kIsFloat && c + 8 * kChain <= cols; c += 8 * kChain, sum = zero) {
        UNROLL for (size_t j = 0; j < 4; j++) add_vector(load(x + c + 16 * j), 0, 0);
        total.take(sum);
      }
      for (; c < cols; c += 8 * kChain, sum = zero) {
        each_vector(x, c, cols - c < 8 * kChain ? cols : c + 8 * kChain, add_vector);
        total.take(sum);
      }
      if (kExact && kIsFloat) t.special |= (uint32_t)any_bits(small, ~((typename ExpTraits<T>::Bits)1 << 31)) << i;
      double sums[8], rests[8];
      store(sums, total.sum);
      store(rests, total.rest);
      for (size_t j = 0; j < 8; j++) {
        t.sums[j][i] = sums[j];
        t.rests[j][i] = rests[j];
      }
      t.top[i] = top;
      f64x8 counts[kParts];
      widen(count, counts);
      t.count[i] = reduce_add(kParts == 1 ? counts[0] : add(counts[0], counts[kParts - 1]));
    }
  }
  // Sums rows that are lanes.
  template <bool kExact> NEVER_INLINE void sum_columns(Tile& t) const {
    const size_t cols = logits.cols;
    for (size_t c = 0; c < cols; c += W) transpose(t.x + c, cols, t.columns[c]);
    const ExpVector<double> e(logits.scale, 0);
    const f64x8 zero = splat(0.);
    V top = splat(-infinity<T>()), count = splat((T)0), small = splat((T)0), limit = small;
    for (size_t c = 0; c < cols; c++) top = max_skip_nan(top, load(t.columns[c]));
    f64x8 tops[kParts], counts[kParts];
    widen(top, tops);
    UNROLL for (size_t p = 0; p < kParts; p++) store(t.top + 8 * p, tops[p]);
    if (kExact && kIsFloat) {
      const f64x8 two = splat(2 * logits.temperature), scale = splat(0x1p-28);
      f64x8 limits[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++)
        limits[p] = select_bits(mul(tops[p], scale), zero, lanes_above(tops[p], two));
      limit = narrowed(limits, T());
    }
    for (size_t j = 0; j < 8; j++) {
      f64x8 sum[kParts];
      UNROLL for (size_t p = 0; p < kParts; p++) sum[p] = zero;
      static_assert(kTransposedRow <= 8 * kChain, "one chain");
      for (size_t c = j; c < cols; c += 8) {
        const V v = load(t.columns[c]);
        if (kExact && kIsFloat) small = small_logits(small, v, limit);
        f64x8 x[kParts];
        widen(below_top(v, top, count), x);
        UNROLL for (size_t p = 0; p < kParts; p++) sum[p] = add(sum[p], term<kExact>(e, x[p], tops[p]));
      }
      UNROLL for (size_t p = 0; p < kParts; p++) {
        store(t.sums[j] + 8 * p, sum[p]);
        store(t.rests[j] + 8 * p, zero);
      }
    }
    widen(count, counts);
    UNROLL for (size_t p = 0; p < kParts; p++) store(t.count + 8 * p, counts[p]);
    if (kExact && kIsFloat) t.special |= lanes_not_zero(small);
  }
  static ALWAYS uint32_t lanes_not_zero(f32x16 v) { return ~lanes_equal(v, splat(0.f)); }
  static ALWAYS uint32_t lanes_not_zero(f64x8) { return 0; }

  // ---- S, log(1 + S), and the rows that are special.

  // As LogRows::finish_row.
  NEVER_INLINE void finish(Tile& t, bool is_exact) const {
    constexpr double kInverseG = LogRows<T>::kInverseG;
    const double inverse_low = FUSED_F64(-kInverseG, LogRows<T>::kG, 1) * kInverseG, temperature = logits.temperature;
    const f64x8 zero = splat(0.), inverse = splat(kInverseG), down = splat(1 / LogRows<T>::kExpOfZero);
    const f64x8 most = splat(kIsFloat ? infinity<double>() : 0x1p900);
    for (size_t p = 0; p < t.parts; p++) {
      Two<f64x8> a[8];
      for (size_t j = 0; j < 8; j++) a[j] = {load(t.sums[j] + 8 * p), load(t.rests[j] + 8 * p)};
      for (size_t half = 4; half > 0; half /= 2) {
        for (size_t j = 0; j < half; j++) {
          const Two<f64x8> sum = two_sum(a[j].x, a[j + half].x);
          a[j] = {sum.x, add(sum.low, add(a[j].low, a[j + half].low))};
        }
      }
      const f64x8 top = load(t.top + 8 * p), sum = a[0].x, size = max_skip_nan(top, sub(zero, top));
      uint32_t usual = lanes_above(splat(infinity<double>()), sum) & lanes_above(most, size);
      const f64x8 hi = mul(sum, inverse);
      const f64x8 lo = add(fma(sum, inverse, sub(zero, hi)), fma(sum, splat(inverse_low), mul(a[0].low, inverse)));
      Two<f64x8> others = two_sum(sub(load(t.count + 8 * p), splat(1.)), mul(hi, down));
      others = two_sum(others.x, add(others.low, mul(lo, down)));
      if (!kIsFloat) usual &= ~(lanes_above(splat(0x1p-900), others.x) & lanes_above(sum, zero));
      if (kIsFloat && is_exact)  // a maximum near 0: log_rounded_distances.h
        usual &= ~(lanes_above(splat(temperature * 0x1p-18), size) & lanes_above(size, splat(temperature * 0x1p-54)));
      t.special |= (~usual & 0xFF) << 8 * p;
      others = {select_bits(others.x, zero, usual), select_bits(others.low, zero, usual)};
      const Two<f64x8> log = log1p_pairs(others.x, others.low);
      store(t.others + 8 * p, others.x);
      store(t.others_low + 8 * p, others.low);
      store(t.log_hi + 8 * p, log.x);
      store(t.log_lo + 8 * p, log.low);
    }
    t.special &= (1u << t.n) - 1;
  }
};

}  // namespace
