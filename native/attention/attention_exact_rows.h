// Rows of attention in double (attention_exact.h): how they are read and written, their exponentials and their sums.
#pragma once
#include "../math/formats.h"
#include "../math/sum.h"
#include "attention_tile.h"

namespace {

// Reads n numbers from element `at` on, as doubles; whole vectors are written.
struct ReadRows {
  void (*widen)(const void* from, size_t at, double* to, size_t n);
};
template <class X> void read_doubles(const void* from, size_t at, double* to, size_t n) {
  const Stored<X>* x = (const Stored<X>*)from + at;
  for (size_t i = 0; i < n; i += kTile) {
    size_t left = n - i;
    Stored<X> last[kTile] = {};
    if (left < kTile) COPY(last, x + i, left * sizeof *x);
    const Stored<X>* numbers = left < kTile ? last : x + i;
    if constexpr (sizeof *x == 8) {
      store(to + i, load(numbers));
      store(to + i + 8, load(numbers + 8));
    } else {
      f32x16 floats = Format<X>::load(numbers);
      store(to + i, low_f64(floats));
      store(to + i + 8, high_f64(floats));
    }
  }
}
template <class X> constexpr ReadRows kReadRows = {read_doubles<X>};

// Writes n doubles from element `at` on; whole vectors are read. Halves are rounded from floats. All NaNs are one NaN.
struct WriteRow {
  void (*narrow)(const double* from, void* to, size_t at, size_t n);
};
template <class Y> void write_doubles(const double* from, void* to, size_t at, size_t n) {
  Stored<Y>* y = (Stored<Y>*)to + at;
  for (size_t i = 0; i < n; i += kTile) {
    size_t left = n - i < kTile ? n - i : kTile;
    f64x8 low = same_nan(load(from + i)), high = same_nan(load(from + i + 8));
    Stored<Y> numbers[kTile];
    if constexpr (sizeof *y == 8) {
      store(numbers, low);
      store(numbers + 8, high);
    } else Format<Y>::store(numbers, narrow(low, high));
    COPY(y + i, numbers, left * sizeof *y);
  }
}
template <class Y> constexpr WriteRow kWriteRow = {write_doubles<Y>};

SIMD_INLINE uint64_t bits_of(double x) {
  uint64_t bits;
  COPY(&bits, &x, 8);
  return bits;
}
SIMD_INLINE void store_both(double* to, f64x8 x) {
  store(to, x);
  store(to + 8, x);
}

// A query row: what changes its scores, which keys it sees, and its largest finite score.
struct ExactRow {
  const uint8_t* mask;  // a byte a key, or null
  const float* bias;    // a number a key, in one of two types, or null
  const double* wide_bias;
  double slope, position;
  size_t from, to;            // it sees the keys of [from, to) that neither mask nor a bias of −∞ hides
  size_t head, index;         // index: its row of the output
  size_t score_index;         // its row of scores, weights and log-sum-exps
  double largest, mantissa;   // mantissa: of its state
  bool has_weights;           // some key has weight, and none is infinite or a NaN
  bool shares_values;         // a column of equal values gives that value

  double bias_of(size_t key) const { return wide_bias ? wide_bias[key] : bias ? bias[key] : 0; }
  // The visible keys of the tile that begins at `key`, a bit a key.
  uint32_t visible_lanes(size_t key) const {
    uint32_t lanes = 0;
    for (size_t i = key > from ? key : from; i < to && i < key + kTile; i++)
      if ((!mask || mask[i]) && bias_of(i) != -infinity<double>()) lanes |= 1u << (i - key);
    return lanes;
  }
  // Changes the scores of the visible keys of a tile.
  void add_slope_and_bias(double* scores, size_t key, uint32_t lanes) const {
    if (slope == 0 && !bias && !wide_bias) return;
    for (; lanes; lanes &= lanes - 1) {
      size_t i = lowest_bit(lanes);
      double distance = position - (double)(key + i);
      if (slope != 0) scores[i] -= slope * (distance < 0 ? -distance : distance);
      scores[i] += bias_of(key + i);
    }
  }
};

// Writes the products of kRows query rows, q_stride apart, with the keys of a tile, [depth][16].
template <int kRows>
void score_group(const double* keys, const double* q, size_t q_stride, size_t depth, double* scores, size_t stride) {
  f64x8 low[kRows], high[kRows];
  UNROLL
  for (int r = 0; r < kRows; r++) low[r] = high[r] = splat(0.);
  for (size_t d = 0; d < depth; d++) {
    f64x8 x = load(keys + d * kTile), y = load(keys + d * kTile + 8);
    UNROLL
    for (int r = 0; r < kRows; r++) {
      f64x8 number = splat(q[r * q_stride + d]);
      low[r] = fma(x, number, low[r]);
      high[r] = fma(y, number, high[r]);
    }
  }
  UNROLL
  for (int r = 0; r < kRows; r++) {
    store(scores + r * stride, low[r]);
    store(scores + r * stride + 8, high[r]);
  }
}

// totals[r] += Σ weights[r][key] · values[key] over the keys of a tile whose bits are set, in their order.
template <int kRows>
void add_weighted(const double* values, const double* weights, size_t stride, uint32_t lanes, double* totals,
                  size_t width) {
  for (size_t c = 0; c < width; c += kTile) {
    f64x8 low[kRows], high[kRows];
    UNROLL
    for (int r = 0; r < kRows; r++) low[r] = high[r] = splat(0.);
    for (uint32_t left = lanes; left; left &= left - 1) {
      size_t key = lowest_bit(left);
      f64x8 x = load(values + key * width + c), y = load(values + key * width + c + 8);
      UNROLL
      for (int r = 0; r < kRows; r++) {
        f64x8 weight = splat(weights[r * stride + key]);
        low[r] = fma(x, weight, low[r]);
        high[r] = fma(y, weight, high[r]);
      }
    }
    UNROLL
    for (int r = 0; r < kRows; r++) {
      double* total = totals + r * width + c;
      store(total, add(load(total), low[r]));
      store(total + 8, add(load(total + 8), high[r]));
    }
  }
}

// Replaces scores [from, to) by exp(score − largest) · 2^octaves · kG. `largest` is the largest finite score, the sink
// included; 0 if there is none. Returns the sum, the sink included: +∞ if a score is, NaN for a NaN.
static NEVER_INLINE double exponentials(double* scores, size_t from, size_t to, double sink, double octaves,
                                        double& largest) {
  const f64x8 most = splat(::largest<double>()), none = splat(-infinity<double>());
  const f64x8 infinite = splat(infinity<double>());
  f64x8 top = none, sum = splat(0.), t;
  for (size_t key = from; key < to; key += 8) {
    f64x8 x = load(scores + key);
    top = max_skip_nan(top, select_bits(none, x, lanes_above(x, most)));
  }
  largest = reduce_max(top);
  if (sink > largest && sink < infinity<double>()) largest = sink;
  if (largest == -infinity<double>()) largest = 0;
  const ExpVector<double> exp(ExpScale<double>::of(1), ExpTraits<double>::kBias - octaves);
  for (size_t key = from; key < to; key += 8) {
    f64x8 x = load(scores + key);
    f64x8 q = select_bits(infinite, exp_below<true>(exp, sub(x, splat(largest)), t), lanes_above(x, most));
    store(scores + key, q);
    sum = add(sum, q);
  }
  double total = reduce_add(sum), of_sink[8];
  if (sink == -infinity<double>()) return total;
  store(of_sink, exp_below<true>(exp, splat(sink - largest), t));
  return total + (sink - sink == 0 ? of_sink[0] : sink);
}

}  // namespace
