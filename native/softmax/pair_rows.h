// Softmax of short float rows: a term is a pair of floats (math/exp_parts.h), so that neither large terms nor copies
// need a correction (largest_terms.h), and one exponent serves a row.
//
//   1. The row's maximum is the reference of its terms. They are summed again where one lies below the window.
//   2. Terms S + rest go to memory of their own, and are added (pair_sum.h).
//   3. y = S · hi + (rest · hi + S · lo), where hi + lo is the reciprocal of the sum.
//
// Max error: 0.9 ULP, and 2 ULP in the two binades above the subnormals, where products underflow.
#pragma once
#include "../math/exp_parts.h"
#include "../rows/logits.h"
#include "pair_sum.h"

namespace {

constexpr size_t kPairRow = 1024;  // elements; beyond, one correction of a float sum costs less

// The terms of one row.
struct PairTerms {
  alignas(64) float tables[kPairRow], rests[kPairRow];
};

// One row. `ahead` is a row to prefetch, or null.
struct PairRow {
  const PartsScale& scale;
  size_t n;  // at most kPairRow
  const float* ahead;

  // Writes the row. Returns false, with nothing written, if it is not ordinary: a NaN, no finite maximum, or one out of
  // reach of the reduction.
  template <class Source> ALWAYS bool write(const Source& x, float* y) const {
    PairTerms terms;
    const float top = top_of(x, terms);
    if (!(top < scale.reach && -top < scale.reach)) return false;
    const double sum = sum_of(x, top, terms);
    if (!(sum - sum == 0)) return false;
    write_terms(terms, y, 1 / sum);
    return true;
  }

 private:
  static constexpr double kOutside = -1;  // in place of a sum: a term lies below the window

  ALWAYS float top_of(const Plain<float>& row, PairTerms&) const {
    const float* x = row.x;
    const f32x16 lowest = splat(-infinity<float>());
    f32x16 tops[4] = {lowest, lowest, lowest, lowest};
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
      UNROLL for (size_t j = 0; j < 4; j++) tops[j] = max_skip_nan(tops[j], load(x + i + 16 * j));
    }
    for (; i + 16 <= n; i += 16) tops[0] = max_skip_nan(tops[0], load(x + i));
    if (i < n) tops[1] = max_skip_nan(tops[1], load_n(x + i, n - i, -infinity<float>()));
    return reduce_max(max_skip_nan(max_skip_nan(tops[0], tops[1]), max_skip_nan(tops[2], tops[3])));
  }
  // Other logits are read once, and stand in the place of their terms.
  NEVER_INLINE float top_of(const Logits<float>& x, PairTerms& terms) const {
    f32x16 tops = splat(-infinity<float>());
    for (size_t i = 0; i < n; i += 16) {
      const size_t left = n - i;
      Two<f32x16> v = left < 16 ? x.at(i, left) : x.read(i);
      if (left < 16) v.x = select_bits(v.x, splat(-infinity<float>()), (1u << left) - 1);
      tops = max_skip_nan(tops, v.x);
      store(terms.tables + i, v.x);
      store(terms.rests + i, v.low);
    }
    return reduce_max(tops);
  }
  ALWAYS double sum_of(const Plain<float>& row, float top, PairTerms& terms) const {
    const auto read = [&](size_t i) ALWAYS_LAMBDA { return load(row.x + i); };
    const auto read_end = [&](size_t i) ALWAYS_LAMBDA { return load_n(row.x + i, n - i, -infinity<float>()); };
    const double sum = sum_terms<false>(read, read_end, top, terms);
    return sum == kOutside ? sum_terms<true>(read, read_end, top, terms) : sum;
  }
  ALWAYS double sum_of(const Logits<float>&, float top, PairTerms& terms) const {
    const auto read = [&](size_t i)
                          ALWAYS_LAMBDA { return Two<f32x16>{load(terms.tables + i), load(terms.rests + i)}; };
    return sum_terms<true>(read, read, top, terms);
  }
  // Stores the terms and returns their sum, or kOutside unless kClamps. read_end(i) gives the last vector, −∞ behind
  // the row.
  template <bool kClamps, class Read, class ReadEnd>
  NEVER_INLINE double sum_terms(Read read, ReadEnd read_end, float top, PairTerms& terms) const {
    ExpParts e(scale);
    e.refer_to(top);
    PairSum sum;
    f32x16 window_bits = splat(2.f), t[4];
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
      decltype(read(0)) v[4];
      f32x16 rests[4];
      UNROLL for (size_t j = 0; j < 4; j++) v[j] = read(i + 16 * j);
      if (ahead) UNROLL for (size_t j = 0; j < 4; j++) prefetch(ahead + i + 16 * j);
      UNROLL for (size_t j = 0; j < 4; j++) {
        f32x16 rest;
        const f32x16 s = e.exp_of<kClamps>(v[j], rest, t[j]);
        store(terms.tables + i + 16 * j, s);
        store(terms.rests + i + 16 * j, rest);
        rests[j] = sum.add_table(j, s, rest);
      }
      if (!kClamps) window_bits = or_bits(or_bits(window_bits, t[0], t[1]), t[2], t[3]);
      sum.rests = add(sum.rests, add(add(rests[0], rests[1]), add(rests[2], rests[3])));
    }
    for (; i < n; i += 16) {
      f32x16 rest;
      const f32x16 s = e.exp_of<true>(n - i < 16 ? read_end(i) : read(i), rest, t[0]);
      store(terms.tables + i, s);
      store(terms.rests + i, rest);
      sum.rests = add(sum.rests, sum.add_table(0, s, rest));
    }
    if (!kClamps && any_bits(window_bits, ExpTraits<float>::kOutside)) return kOutside;
    f64x8 low = splat(0.), high = low;
    sum.add_to(low, high);
    return reduce_add(add(low, high));
  }
  ALWAYS void write_terms(const PairTerms& terms, float* y, double inverse) const {
    const f32x16 hi = splat((float)inverse), lo = splat((float)(inverse - (double)(float)inverse));
    const auto result = [&](size_t i) ALWAYS_LAMBDA {
      const f32x16 s = load(terms.tables + i);
      return fma(s, hi, fma(load(terms.rests + i), hi, mul(s, lo)));
    };
    size_t i = 0;
    for (; i + 16 <= n; i += 16) store(y + i, result(i));
    if (i < n) store_n(y + i, result(i), n - i);
  }
};

}  // namespace
