// What a float sum owes to its largest terms.
//
// q is rounded to float, and so is each node of the tree that adds sixteen of them. Over many terms of like size that
// averages out. A few large terms do not: their roundings would be the sum's, and with it an error of every result.
// So the sums of each lane are kept, and the terms of any lane that makes up more than a sixteenth of the block are
// computed again in double. There are fifteen such lanes at the most, and in long rows seldom more than a few.
#pragma once
#include "logits.h"
#include "sum.h"

namespace {

struct Partials {
  static constexpr size_t kMost = kBlock / 256 + 3 + 4;  // groups of sixteen vectors, of four, of one
  f32x16 sums[kMost];
  uint32_t first[kMost], vectors[kMost];
  size_t count = 0;

  ALWAYS void keep(f32x16 v, size_t at, uint32_t n) { sums[count] = v, first[count] = (uint32_t)at, vectors[count++] = n; }

  template <class Source> ALWAYS void refine(const Source& x, size_t from, size_t n, const ExpScale<float>& scale, double octave, Sum& sum) const {
    f32x16 bound = splat((float)(sum.mantissa / 16));
    for (size_t i = 0; i < count; i++)
      if (uint32_t lanes = lanes_above(sums[i], bound)) correct(x, from + first[i], vectors[i], from + n, lanes, sums[i], scale, octave, sum);
  }
  template <class Source>
  static void correct(const Source& x, size_t at, size_t vectors, size_t end, uint32_t lanes, f32x16 sums, const ExpScale<float>& scale, double octave, Sum& sum) {
    // q as the float kernel has it, from the double one: the same exponent window and the same g.
    const double factor = ExpTraits<float>::kG / ExpTraits<double>::kG * pow2(ExpTraits<float>::kBias - ExpTraits<double>::kBias);
    const ExpVector<double> e(ExpScale<double>::of(scale.temperature), octave);
    double terms[16][16];
    float old[16];
    store(old, sums);
    for (size_t j = 0; j < vectors; j++) {
      size_t i = at + 16 * j;
      f64x8 low, high;
      exact(i + 16 <= end ? x.at(i) : x.at(i, end - i), low, high);
      store(terms[j], low), store(terms[j] + 8, high);
    }
    for (; lanes; lanes &= lanes - 1) {
      size_t lane = 0;
      while (!(lanes >> lane & 1)) lane++;
      double column[16], total = 0;
      for (size_t j = 0; j < 16; j++) column[j] = j < vectors ? terms[j][lane] : -infinity<double>();
      f64x8 t, halves[2] = {exp_below<false>(e, load(column), t), exp_below<false>(e, load(column + 8), t)};
      for (f64x8 half : halves) total += reduce_add(half);
      store(column, halves[0]), store(column + 8, halves[1]);
      for (size_t j = 0; j < vectors; j++)
        if (column[j] * factor > sum.peak) sum.peak = column[j] * factor, sum.peak_at = at + 16 * j + lane;
      sum.mantissa += total * factor - (double)old[lane];
    }
  }
  static ALWAYS void exact(f32x16 v, f64x8& low, f64x8& high) { low = low_f64(v), high = high_f64(v); }
  static ALWAYS void exact(Two<f32x16> v, f64x8& low, f64x8& high) {
    low = add(low_f64(v.x), low_f64(v.low)), high = add(high_f64(v.x), high_f64(v.low));
  }
};

}  // namespace
