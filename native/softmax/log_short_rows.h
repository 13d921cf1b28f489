// The logarithmic operators on short rows without a bias: tiles of W neighbouring rows, with no code that is called for
// each row.
//
//   1. The sums of a tile: log_short_sums.h.
//   2. Its log sums, its losses and the gradient at its targets, in vectors.
//   3. Its logs or its gradient, by columns or by rows, as the sums were made.
//   4. A special row is computed by log_tiles.h, which reads it again. So are rows with the target −1.
#pragma once
#include "../rows/run.h"
#include "log_float_sums.h"
#include "log_short_sums.h"

namespace {

template <class T> struct LogOperators;  // log_tiles.h

template <class T> struct ShortLogRows : ShortLogSums<T> {
  using Sums = ShortLogSums<T>;
  using Tile = typename Sums::Tile;
  using V = typename Sums::V;
  using Memory = typename LogOperators<T>::Memory;
  static constexpr size_t W = Sums::W, kParts = Sums::kParts;
  static constexpr bool kIsFloat = Sums::kIsFloat;
  const LogOperators<T>& s;
  explicit ShortLogRows(const LogOperators<T>& call) : Sums{call.rows, call.outer}, s(call) {}

  // The gradient at targets.
  struct Slopes {
    double at[W];
  };

  static ALWAYS Two<f64x8> times(Two<f64x8> a, f64x8 factor) {
    const f64x8 hi = mul(a.x, factor);
    return {hi, add(fma(a.x, factor, sub(splat(0.), hi)), mul(a.low, factor))};
  }
  static ALWAYS Two<f64x8> reciprocal(Two<f64x8> a) {
    const f64x8 one = splat(1.), hi = div(one, a.x);
    return {hi, mul(hi, sub(fma(sub(splat(0.), hi), a.x, one), mul(hi, a.low)))};
  }
  static ALWAYS Two<f64x8> others_of(const Tile& t, size_t p) {
    return {load(t.others + 8 * p), load(t.others_low + 8 * p)};
  }
  // Returns factor / ((1 + S) T).
  ALWAYS Two<f64x8> share(const Tile& t, size_t p, double factor) const {
    const Two<f64x8> others = others_of(t, p), sum = two_sum(splat(1.), others.x);
    const f64x8 temperature = splat(s.rows.temperature);
    if (kIsFloat) return {div(splat(1 / factor), mul(sum.x, temperature)), splat(0.)};
    return reciprocal(times(times({sum.x, add(sum.low, others.low)}, splat(factor)), temperature));
  }
  static ALWAYS void store_rows(double* to, f64x8 v, size_t p, size_t n) {
    if (n >= 8 * p + 8) store(to + 8 * p, v);
    else if (n > 8 * p) store_n(to + 8 * p, v, n - 8 * p);
  }

  // ---- 2. One number a row.

  // As LogRows::log_sum_exp.
  ALWAYS void write_log_sums(const Tile& t) const {
    const f64x8 zero = splat(0.), temperature = splat(s.rows.temperature);
    UNROLL for (size_t p = 0; p < kParts; p++) {
      const f64x8 top = load(t.top + 8 * p), whole = div(top, temperature);
      const f64x8 rest = div(fma(sub(zero, whole), temperature, top), temperature);
      const Two<f64x8> sum = two_sum(whole, load(t.log_hi + 8 * p));
      store_rows(s.log_sums + t.first, add(sum.x, add(sum.low, add(rest, load(t.log_lo + 8 * p)))), p, t.n);
    }
  }
  // Reads the logits of targets. A row without a target, or with a masked one, is special.
  ALWAYS void read_targets(Tile& t) const {
    const Extras<T>& extras = s.rows.extras;
    for (size_t i = 0; i < W; i++) t.target[i] = 0;
    for (size_t i = 0; i < t.n; i++) {
      const size_t row = t.first + i, at = row * s.rows.cols;
      const int32_t target = s.targets[row];
      if (target < 0 || (extras.has_mask() && !extras.lanes(at + (size_t)target, (size_t)target, 1, false)))
        t.special |= 1u << i;
      else t.target[i] = s.rows.x[at + (size_t)target];
    }
  }
  // Writes losses, and the gradient at targets to `slopes`. As LogOperators::write_loss.
  NEVER_INLINE void write_losses(Tile& t, Slopes& slopes) const {
    const f64x8 zero = splat(0.), one = splat(1.), temperature = splat(s.rows.temperature);
    const ExpVector<double> e(s.rows.scale, 0);
    for (size_t p = 0; p < t.parts; p++) {
      const Two<f64x8> d = exact_sum(load(t.target + 8 * p), sub(zero, load(t.top + 8 * p)));
      const f64x8 a = div(d.x, temperature), rest = div(add(fma(sub(zero, a), temperature, d.x), d.low), temperature);
      const f64x8 log_hi = load(t.log_hi + 8 * p), log_lo = load(t.log_lo + 8 * p);
      t.special |= (~lanes_above(a, splat(-infinity<double>())) & 0xFF) << 8 * p & ((1u << t.n) - 1);
      store_rows(s.loss + t.first, add(sub(log_hi, a), sub(log_lo, rest)), p, t.n);
      if (!s.gradient) continue;
      f64x8 ignored;
      const f64x8 q = exp_below<false>(e, d, ignored);
      const f64x8 term = mul(q, splat(LogRows<T>::kInverseG / LogRows<T>::kExpOfZero));
      const uint32_t below = lanes_above(zero, d.x);
      Two<f64x8> others = others_of(t, p);
      const Two<f64x8> all = two_sum(others.x, one);
      others = {select_bits(all.x, others.x, below),
                select_bits(sub(add(all.low, others.low), term), others.low, below)};
      const Two<f64x8> r = share(t, p, 1);
      const f64x8 slope = fma(others.x, r.x, add(mul(others.x, r.low), mul(others.low, r.x)));
      store(slopes.at + 8 * p, sub(zero, slope));
    }
  }

  // ---- 3. One number an element.

  static ALWAYS Two<f64x8> distance(f64x8 x, f64x8 top) {
    if (kIsFloat) return {sub(x, top), splat(0.)};
    return exact_sum(x, sub(splat(0.), top));
  }
  // Writes result(v) for each vector v of logits, result = results_of(row). row is W where the lanes are rows.
  template <class F> ALWAYS void write_each(Tile& t, T* out, F results_of) const {
    const size_t cols = s.rows.cols;
    if (t.by_columns) {
      alignas(64) T square[W * W];
      const auto result = results_of(W);
      for (size_t c = 0; c < cols; c++) store(t.columns[c], result(load(t.columns[c])));
      for (size_t c = 0; c < cols; c += W) {
        this->transpose(t.columns[c], W, square);
        const size_t n = cols - c < W ? cols - c : W;
        for (size_t i = 0; i < t.n; i++) {
          T* to = out + (t.first + i) * cols + c;
          // A whole vector reaches into rows that are written later, which is faster.
          if (cols <= W && !t.special && (t.n - i) * cols >= W) store(to, load(square + i * W));
          else if (!(t.special >> i & 1)) store_n(to, load(square + i * W), n);
        }
      }
      return;
    }
    for (size_t i = 0; i < t.n; i++) {
      if (t.special >> i & 1) continue;
      T* to = out + (t.first + i) * cols;
      const auto result = results_of(i);
      const auto write = [&](V v, size_t c, size_t n) ALWAYS_LAMBDA {
        n < W ? store_n(to + c, result(v), n) : store(to + c, result(v));
      };
      this->each_vector(t.x + i * cols, 0, cols, write);
    }
  }
  // A number a row, for the lanes of a vector: of all rows (row = W), or of one.
  struct OfRow {
    f64x8 of[kParts];
    ALWAYS OfRow(const double* numbers, size_t row) {
      UNROLL for (size_t p = 0; p < kParts; p++) of[p] = row == W ? load(numbers + 8 * p) : splat(numbers[row]);
    }
  };
  NEVER_INLINE void write_logs(Tile& t) const {
    const f64x8 zero = splat(0.), inverse = splat(1 / s.rows.temperature), temperature = splat(-s.rows.temperature);
    write_each(t, s.logs, [&](size_t row) ALWAYS_LAMBDA {
      const OfRow top(t.top, row), log_hi(t.log_hi, row), log_lo(t.log_lo, row);
      return [=](V v) ALWAYS_LAMBDA {
        f64x8 x[kParts];
        widen(v, x);
        UNROLL for (size_t p = 0; p < kParts; p++) {
          const Two<f64x8> d = distance(x[p], top.of[p]);
          const f64x8 minus_log = sub(zero, log_hi.of[p]);
          if (kIsFloat) x[p] = fma(d.x, inverse, minus_log);
          else {
            const f64x8 whole = mul(d.x, inverse), rest = add(fma(whole, temperature, d.x), d.low);
            const f64x8 low = zero_below(fma(rest, inverse, minus_log), whole, splat(-largest<double>()));
            x[p] = add(whole, sub(low, log_lo.of[p]));
          }
        }
        return narrowed(x, T());
      };
    });
  }
  NEVER_INLINE void write_gradient(Tile& t, const Slopes& slopes) const {
    const ExpVector<double> e(s.rows.scale, 0);
    const double g = LogRows<T>::kG, down = 1 / LogRows<T>::kExpOfZero;
    double share_hi[W], share_lo[W];
    UNROLL for (size_t p = 0; p < kParts; p++) {
      const Two<f64x8> r = share(t, p, kIsFloat ? g / down : g);
      store(share_hi + 8 * p, r.x);
      store(share_lo + 8 * p, r.low);
    }
    write_each(t, s.gradient, [&](size_t row) ALWAYS_LAMBDA {
      const OfRow top(t.top, row), hi(share_hi, row), lo(share_lo, row);
      return [=, &e](V v) ALWAYS_LAMBDA {
        f64x8 x[kParts];
        widen(v, x);
        UNROLL for (size_t p = 0; p < kParts; p++) {
          const Two<f64x8> d = distance(x[p], top.of[p]);
          f64x8 ignored, rest;
          if (kIsFloat) x[p] = mul(exp_for_float(e, d.x), hi.of[p]);
          else {
            const f64x8 q = exp_below<false>(e, d, ignored, &rest);
            x[p] = mul(fma(q, hi.of[p], fma(rest, hi.of[p], mul(q, lo.of[p]))), splat(down));
          }
        }
        return narrowed(x, T());
      };
    });
    for (size_t i = 0; i < t.n; i++) {
      const size_t row = t.first + i;
      if (!(t.special >> i & 1)) s.gradient[row * s.rows.cols + (size_t)s.targets[row]] = (T)slopes.at[i];
    }
  }

  // ---- The tile.

  NEVER_INLINE void process(Tile& t) const {
    sum(t);
    if (s.log_sums) write_log_sums(t);
    Slopes slopes;
    if (s.targets) {
      read_targets(t);
      write_losses(t, slopes);
    }
    if (s.logs) write_logs(t);
    if (s.gradient) write_gradient(t, slopes);
  }
  ALWAYS void sum(Tile& t) const {
    if constexpr (kIsFloat) {
      if (s.logs && s.rows.cols > kTransposedRow) {
        const FloatLogSums<Sums> sums = {s.rows, s.scale};
        sums.sum_rows(t);
        return sums.finish(t);
      }
    }
    const bool is_exact = !kIsFloat || ((s.log_sums || s.targets) && s.rows.cols <= kShortRow);
    if (t.by_columns) is_exact ? this->template sum_columns<true>(t) : this->template sum_columns<!kIsFloat>(t);
    else is_exact ? this->template sum_rows<true>(t) : this->template sum_rows<!kIsFloat>(t);
    this->finish(t, is_exact);
  }
  NEVER_INLINE void process_copy(Tile& t) const {
    T copy[Sums::kCopied];
    this->copy_rows(t, copy);
    process(t);
  }

  // Tile i of the call, for share_rows.
  void row(const Run& alone, Memory& memory, size_t i) const {
    Tile t;
    this->place(t, i);
    this->needs_copy(t) ? process_copy(t) : process(t);
    for (uint32_t special = t.special; special; special &= special - 1)
      s.process_tile(alone, t.first + lowest_bit(special), 0, &memory.lanes, &memory.sum, memory.blocks);
  }
  void run_tiles() const {
    share_rows(for_bytes(s.run, s.outer * s.rows.cols * sizeof(T)), (s.outer + W - 1) / W, s.rows.cols * W, *this);
  }
};

}  // namespace
