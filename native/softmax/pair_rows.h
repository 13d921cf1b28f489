// Softmax of float rows of some hundreds: a term is a pair of floats (math/exp_parts.h), so that neither large terms
// nor copies need a correction (largest_terms.h), and one exponent serves a row.
//
//   1. The row's maximum is the reference of its terms.
//   2. Terms S + rest go to memory of their own, and are added (pair_sum.h).
//   3. y = S · hi + (rest · hi + S · lo), where hi + lo is the reciprocal of the sum.
//
// A row is left to others if a term lies more than 112 octaves below the reference: products of a result below the
// normal range would be rounded twice. Max error: 1 ULP.
#pragma once
#include "../math/exp_parts.h"
#include "../rows/logits.h"
#include "pair_sum.h"

namespace {

constexpr size_t kPairRow = 1024;  // elements; beyond, one correction of a float sum costs less

// Terms more than so many octaves below the reference are outside of the window.
constexpr int kPairOctaves = 112;
// A reference at k' = 8 · 112 has the S of one at ExpTraits<float>::kTop: entries of kTableParts, 48 octaves up.
#define UP(entry) entry + ((uint32_t)(ExpTraits<float>::kTop / 8 - kPairOctaves) << 23)
alignas(64) constexpr uint32_t kTablePairs[8] = {
    UP(kTableParts[0]), UP(kTableParts[1]), UP(kTableParts[2]), UP(kTableParts[3]),
    UP(kTableParts[4]), UP(kTableParts[5]), UP(kTableParts[6]), UP(kTableParts[7]),
};
#undef UP

// The constants of a temperature.
struct PairScale {
  float c, step_hi, step_lo, slope, terms[3];
  double octaves, reach;

  explicit ALWAYS PairScale(const ExpScale<float>& s)
      : c(s.c), step_hi(s.step_hi), step_lo(s.step_lo), slope(s.slope), octaves(s.octaves) {
    // In place of 6: results must not fall as logits rise. A cell's end then lies below the next cell's start, whatever
    // the table's entries lack. Max error of S + rest: 2^-27.
    constexpr double kMonotoneCubic = 6.003;
    const double inverse = 1 / s.temperature;
    terms[0] = (float)(inverse / 2);
    terms[1] = (float)(inverse * inverse / kMonotoneCubic);
    terms[2] = (float)(inverse * inverse * inverse / 24);
    reach = ExpTraits<float>::kLimit / 8 / octaves;
  }
};

// PairScale in vectors, with the reference of a row.
struct ExpPairs {
  using X = ExpTraits<float>;
  f32x16 c, step_hi, step_lo, slope, terms[3], base;

  ALWAYS ExpPairs(const PairScale& s, float top)
      : c(splat(s.c)), step_hi(splat(s.step_hi)), step_lo(splat(s.step_lo)), slope(splat(s.slope)) {
    UNROLL for (int i = 0; i < 3; i++) terms[i] = splat(s.terms[i]);
    base = splat((float)(2 + 8 * (kPairOctaves - nearest((double)top * s.octaves)) * X::kUlp));
  }
  // Returns S and the rest of values (f32x16 or Two<f32x16>). Bits of `t` tell which are outside of the window, or NaN.
  template <class Value> ALWAYS f32x16 exp_of(Value value, f32x16& rest, f32x16& t) const {
    const f32x16 x = high_part(value);
    t = fma(x, c, base);
    const f32x16 k = sub(t, base), r = plus_low(fma(k, step_lo, fma(k, step_hi, x)), value);
    const f32x16 s = add_shifted(lookup8((const float*)kTablePairs, t), t);
    rest = mul(mul(s, slope), ExpParts::powers_of(r, terms));
    return s;
  }
};

// The terms of one row.
struct PairTerms {
  alignas(64) float tables[kPairRow], rests[kPairRow];
};

// One row. `ahead` is a row to prefetch, or null.
struct PairRow {
  const PairScale& scale;
  size_t n;  // at most kPairRow
  const float* ahead;

  // Writes the row. Returns false, with nothing written, if it is not ordinary: a NaN, no finite maximum, one out of
  // reach of the reduction, or a term far below it.
  template <class Source> ALWAYS bool write(const Source& x, float* y) const {
    PairTerms terms;
    const float top = top_of(x, terms);
    if (!(top < scale.reach && -top < scale.reach)) return false;
    const double sum = sum_of(x, top, terms);
    if (sum == kFarBelow) return false;
    write_terms(terms, y, 1 / sum);
    return true;
  }

 private:
  static constexpr double kFarBelow = -1;  // in place of a sum

  uint32_t lanes(size_t i) const { return n - i < 16 ? (1u << (n - i)) - 1 : 0xFFFF; }
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
  // Logits with a mask or a bias are read once, and stand in the place of their terms.
  NEVER_INLINE float top_of(const Logits<float>& x, PairTerms& terms) const {
    f32x16 tops = splat(-infinity<float>());
    for (size_t i = 0; i < n; i += 16) {
      const Two<f32x16> v = n - i < 16 ? x.at(i, n - i) : x.read(i);
      tops = max_skip_nan(tops, select_bits(v.x, splat(-infinity<float>()), lanes(i)));
      store(terms.tables + i, v.x);
      store(terms.rests + i, v.low);
    }
    return reduce_max(tops);
  }
  // The logits, the maximum behind them up to a whole vector.
  ALWAYS double sum_of(const Plain<float>& row, float top, PairTerms& terms) const {
    return sum_terms([&](size_t i) ALWAYS_LAMBDA { return load(row.x + i); },
                     [&](size_t i) ALWAYS_LAMBDA { return load_n(row.x + i, n - i, top); }, top, terms);
  }
  ALWAYS double sum_of(const Logits<float>&, float top, PairTerms& terms) const {
    const auto read = [&](size_t i)
                          ALWAYS_LAMBDA { return Two<f32x16>{load(terms.tables + i), load(terms.rests + i)}; };
    const auto read_end = [&](size_t i) ALWAYS_LAMBDA {
      const Two<f32x16> v = read(i);
      return Two<f32x16>{select_bits(v.x, splat(top), lanes(i)), select_bits(v.low, splat(0.f), lanes(i))};
    };
    return sum_terms(read, read_end, top, terms);
  }
  // Stores the terms, zeros behind them up to a whole vector, and returns their sum.
  template <class Read, class ReadEnd>
  NEVER_INLINE double sum_terms(Read read, ReadEnd read_end, float top, PairTerms& terms) const {
    const ExpPairs e(scale, top);
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
        const f32x16 s = e.exp_of(v[j], rest, t[j]);
        store(terms.tables + i + 16 * j, s);
        store(terms.rests + i + 16 * j, rest);
        rests[j] = sum.add_table(j, s, rest);
      }
      window_bits = or_bits(or_bits(window_bits, t[0], t[1]), t[2], t[3]);
      sum.rests = add(sum.rests, add(add(rests[0], rests[1]), add(rests[2], rests[3])));
    }
    for (; i < n; i += 16) {
      f32x16 rest;
      const f32x16 all = e.exp_of(n - i < 16 ? read_end(i) : read(i), rest, t[0]);
      const f32x16 s = select_bits(all, splat(0.f), lanes(i));
      rest = select_bits(rest, splat(0.f), lanes(i));
      store(terms.tables + i, s);
      store(terms.rests + i, rest);
      sum.rests = add(sum.rests, sum.add_table(0, s, rest));
      window_bits = or_bits(window_bits, t[0], t[0]);
    }
    if (any_bits(window_bits, ExpTraits<float>::kOutside)) return kFarBelow;
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
