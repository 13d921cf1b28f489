// What filters need to know of a whole row: the spread of its logits, the sum and the entropy of its weights.
//
// Sums of doubles have sixteen lanes, by column, whatever a row is stored as. lib/sampling/column-sums.ts adds in the
// same order, so that all backends find the same threshold.
#pragma once
#include "../rows/share_rows.h"
#include "filter.h"

namespace {

// Sixteen sums, of columns 0, 16, …; 1, 17, …
struct ColumnSums {
  f64x8 low = splat(0.), high = splat(0.);
  double total() const { return reduce_add(add(low, high)); }
};

template <class X> struct Moments {
  using T = typename LogitReader<X>::Float;
  using Memory = RowMemory;
  // Of a row whose sums with the bias overflow: nothing is measured.
  static constexpr int32_t kOverflows = 3;
  const Stored<X>* x;
  const double* temperatures;
  double *spread, *mass;  // of a row: count, mean distance, sum of squares; and top, count, total, sum; or null
  int32_t* status;
  size_t cols;
  Extras<Stored<X>> extras;

  void row(const Run&, Memory& memory, size_t i) const {
    const T* floats = LogitReader<X>::read(x + i * cols, cols, memory.logits(T()));
    if (!floats) return;
    if (!extras.any()) return measure(floats, i);
    bool is_quartered = false;
    const double* sums = apply_mask_and_bias<X>(memory, extras, floats, cols, i, is_quartered);
    if (!sums) return;
    if (is_quartered) status[i] = kOverflows;
    else measure(sums, i);
  }
  template <class F> NEVER_INLINE void measure(const F* z, size_t i) const {
    RowScan<F> scan = scan_row<kGroup>(z, cols, (F*)nullptr);
    status[i] = scan.has_nan ? kHasNaN : scan.top - scan.top != 0 ? kNothingFinite : kSampled;
    if (status[i] != kSampled) return;
    if (spread) measure_spread(z, (double)scan.top, spread + 3 * i);
    if (mass) measure_mass(z, (double)scan.top, temperatures[i], mass + 4 * i);
  }
  // Calls use(sums, columns) for each eight columns, −∞ behind the row.
  template <class F, class Use> ALWAYS void for_columns(const F* z, Use use) const {
    constexpr size_t W = ExpTraits<F>::kLanes;
    for (size_t i = 0; i < cols; i += 16) {
      f64x8 v[2];
      widen(ChunkSums<F>::load_vector(z, cols, i), v);
      if (W == 8) v[1] = splat(-infinity<double>());
      if (W == 8 && i + 8 < cols) widen(ChunkSums<F>::load_vector(z, cols, i + 8), v + 1);
      use(v[0], v[1]);
    }
  }
  // Distances from the top are added, not logits: their sum could overflow, and loses digits.
  template <class F> NEVER_INLINE void measure_spread(const F* z, double top, double* to) const {
    const f64x8 origin = splat(top), finite = splat(-largest<double>()), one = splat(1.);
    ColumnSums count, sum, squares;
    for_columns(z, [&](f64x8 a, f64x8 b) ALWAYS_LAMBDA {
      sum.low = add(sum.low, zero_below(sub(origin, a), a, finite));
      sum.high = add(sum.high, zero_below(sub(origin, b), b, finite));
      count.low = add(count.low, zero_below(one, a, finite));
      count.high = add(count.high, zero_below(one, b, finite));
    });
    const f64x8 mean = splat(sum.total() / count.total());
    for_columns(z, [&](f64x8 a, f64x8 b) ALWAYS_LAMBDA {
      f64x8 d = sub(sub(origin, a), mean), e = sub(sub(origin, b), mean);
      squares.low = add(squares.low, zero_below(mul(d, d), a, finite));
      squares.high = add(squares.high, zero_below(mul(e, e), b, finite));
    });
    to[0] = count.total();
    to[1] = sum.total() / count.total();
    to[2] = squares.total();
  }
  // The total of weights is exact; the sum is that of weights times distances, in eighths of octaves.
  template <class F> NEVER_INLINE void measure_mass(const F* z, double top, double temperature, double* to) const {
    const TokenWeights weights(top, eighths_per_logit(temperature), cols);
    const f64x8 finite = splat(-largest<double>()), one = splat(1.);
    f64x8 total = splat(0.), count = total;
    ColumnSums sum;
    auto add_weights = [&](f64x8 z, f64x8& sum) ALWAYS_LAMBDA {
      f64x8 w = weights.exact(z), s = max_keep_nan(splat(-512.), mul(sub(z, splat(top)), splat(weights.eighths)));
      total = add_integers(total, weights.to_integers(w));
      sum = add(sum, mul(weights.round(w), s));
      count = add(count, zero_below(one, z, finite));
    };
    for_columns(z, [&](f64x8 a, f64x8 b) ALWAYS_LAMBDA {
      add_weights(a, sum.low);
      add_weights(b, sum.high);
    });
    to[0] = top;
    to[1] = reduce_add(count);
    to[2] = (double)sum_integers(total);
    to[3] = sum.total() * weights.integer_of_one;
  }
};

// The kernel.
template <class X, class Y>
void moments(const Run& run, const Stored<X>* x, const double* temperatures, double* spread, double* mass,
             int32_t* status, size_t rows, size_t cols, const MaskAndBias<Stored<X>>& mask_and_bias) {
  Moments<X> work = {x, temperatures, spread, mass, status, cols, Extras<Stored<X>>(mask_and_bias)};
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, work);
}

}  // namespace
