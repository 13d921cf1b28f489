// The sums of short float rows (from kTransposedRow + 1 elements) for logSoftmax alone, whose results are floats: terms
// of two floats (math/exp_parts.h) take half the time of terms in double. Max error of S and of log(1 + S): 2⁻²⁷ of
// their size. Terms below 2⁻¹⁵⁸ of the maximum count as 0: a subnormal result may be one last place off.
//
//   1. A row's maximum is the reference of its terms, which are summed but for the maximum.
//   2. S = sum / exp(maximum) and log(1 + S) of all rows of a tile, in vectors.
//   3. A row with a maximum out of reach of the reduction, with a NaN or without a finite maximum is special.
#pragma once
#include "../math/exp_parts.h"
#include "log_rows.h"

namespace {

// Sums: ShortLogSums<float> (log_short_sums.h).
template <class Sums> struct FloatLogSums {
  using Tile = typename Sums::Tile;
  static constexpr size_t W = Sums::W;
  const LogRows<float>& logits;
  const ExpScale<float>& scale;

  // A row's terms but those of its maximum, and the lanes of its maxima.
  struct RowSum {
    f64x8 low = splat(0.), high = splat(0.);
    f32x16 count = splat(0.f);

    // Adds the table entries of a vector's terms, and returns their rests.
    ALWAYS f32x16 add_vector(const ExpParts& e, f32x16 v, f32x16 tops) {
      const f32x16 is_top = zero_below(splat(1.f), v, tops);
      count = add(count, is_top);
      f32x16 rest;
      add_floats(e.exp_of(fma(is_top, splat(-0x1p120f), v), rest));
      return rest;
    }
    ALWAYS void add_floats(f32x16 v) {
      low = add(low, low_f64(v));
      high = add(high, high_f64(v));
    }
  };
  // Sums one row. The errors of four rests are no more than 2⁻²⁸ of their terms, even if all are alike.
  static ALWAYS double sum_of(const ExpParts& e, const float* x, size_t cols, float top, f32x16& count) {
    const f32x16 tops = splat(top);
    RowSum sum;
    size_t c = 0;
    // Four vectors without a loop take a fifth less.
    for (; c + 64 <= cols; c += 64) {
      f32x16 rests[4];
      UNROLL for (size_t j = 0; j < 4; j++) rests[j] = sum.add_vector(e, load(x + c + 16 * j), tops);
      sum.add_floats(add(add(rests[0], rests[1]), add(rests[2], rests[3])));
    }
    f32x16 rests = splat(0.f);
    Sums::each_vector(x, c, cols, [&](f32x16 v, size_t, size_t) ALWAYS_LAMBDA {
      rests = add(rests, sum.add_vector(e, v, tops));
    });
    sum.add_floats(rests);
    count = sum.count;
    return reduce_add(add(sum.low, sum.high));
  }
  // References of a tile's rows: what ExpParts::refer_to sets.
  struct References {
    alignas(64) float base[W], low[W];
  };
  // Finds the maxima, then all references in vectors: a row after the other would wait for each.
  ALWAYS void refer_rows(Tile& t, const ExpParts& e, References& to) const {
    for (size_t i = 0; i < W; i++) t.top[i] = 0;
    for (size_t i = 0; i < t.n; i++) t.top[i] = (double)Sums::top_of(t.x + i * logits.cols, logits.cols);
    const f64x8 zero = splat(0.), most = splat(e.reach);
    f64x8 base[2], low[2];
    UNROLL for (size_t p = 0; p < 2; p++) {
      f64x8 top = load(t.top + 8 * p);
      const uint32_t usual = lanes_above(most, max_skip_nan(top, sub(zero, top)));
      t.special |= (~usual & 0xFF) << 8 * p;
      top = select_bits(top, zero, usual);
      store(t.rests[0] + 8 * p, e.refer_to(top, base[p], low[p]));
    }
    store(to.base, narrow(base[0], base[1]));
    store(to.low, narrow(low[0], low[1]));
  }
  NEVER_INLINE void sum_rows(Tile& t) const {
    ExpParts e(scale);
    References references;
    refer_rows(t, e, references);
    for (size_t i = 0; i < W; i++) {
      t.sums[0][i] = 0;
      t.count[i] = 1;
    }
    for (size_t i = 0; i < t.n; i++) {
      f32x16 count;
      e.base = splat(references.base[i]);
      e.low = splat(references.low[i]);
      t.sums[0][i] = sum_of(e, t.x + i * logits.cols, logits.cols, (float)t.top[i], count);
      t.count[i] = reduce_add(add(low_f64(count), high_f64(count)));
    }
  }
  // log(1 + s) for s ≥ 0. Max error: some 2⁻⁵² of it.
  static ALWAYS f64x8 log1p_of(f64x8 s) {
    const f64x8 one = splat(1.), u = add(one, s);
    return add(log_of(u), div(sub(s, sub(u, one)), u));
  }
  NEVER_INLINE void finish(Tile& t) const {
    using D = ExpTraits<double>;
    using F = ExpTraits<float>;
    const ExpVector<double> e(logits.scale, 0);
    const f64x8 octave = splat(-logits.temperature * 0x1.62e42fefa39efp-1), one = splat(1.), zero = splat(0.);
    const f64x8 unit = splat(D::kG / ExpParts::kG * pow2(D::kBias - F::kBias));
    for (size_t p = 0; p < t.parts; p++) {
      const f64x8 sum = load(t.sums[0] + 8 * p);
      const f64x8 above = fma(load(t.rests[0] + 8 * p), octave, load(t.top + 8 * p));
      const f64x8 terms = div(mul(sum, unit), exp_inside_for_float(e, above));
      const uint32_t usual = lanes_above(splat(infinity<double>()), sum);
      t.special |= (~usual & 0xFF) << 8 * p;
      const f64x8 others = select_bits(add(sub(load(t.count + 8 * p), one), terms), zero, usual);
      store(t.log_hi + 8 * p, log1p_of(others));
    }
    t.special &= (1u << t.n) - 1;
  }
};

}  // namespace
