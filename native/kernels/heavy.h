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

// q as the float kernel has it, from the double one: the same exponent window and the same g.
constexpr double kDoubleToFloat = ExpTraits<float>::kG / ExpTraits<double>::kG * 0x1p-480;
static_assert(ExpTraits<float>::kBias - ExpTraits<double>::kBias == -480, "the power of two in kDoubleToFloat");

struct Partials {
  static constexpr size_t kMost = kBlock / 256 + 3 + 4;
  f32x16 sums[kMost];     // of sixteen vectors each, then of four, then of one
  size_t count = 0, sixteens = 0, fours = 0;

  ALWAYS void keep(f32x16 v) { sums[count++] = v; }
  size_t vectors(size_t i) const { return i < sixteens ? 16 : i < sixteens + fours ? 4 : 1; }
  size_t first(size_t i) const {
    if (i < sixteens) return 256 * i;
    return i < sixteens + fours ? 256 * sixteens + 64 * (i - sixteens) : 256 * sixteens + 64 * fours + 16 * (i - sixteens - fours);
  }

  // `fine` is the scale of the row's temperature for doubles.
  template <class Source> ALWAYS void refine(const Source& x, size_t from, const ExpScale<double>& fine, double octave, Sum& sum) const {
    f32x16 bound = splat((float)(sum.mantissa / 16));
    uint32_t heavy = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
      uint32_t lanes = lanes_above(sums[i], bound);
      heavy += lanes != 0, most = lanes ? (uint32_t)i + 1 : most;
    }
    if (heavy) correct(x, from, most, bound, fine, octave, sum);
  }
  template <class Source>
  NEVER_INLINE void correct(const Source& x, size_t from, size_t end, f32x16 bound, const ExpScale<double>& fine, double octave, Sum& sum) const {
    double terms[16 * 16 + 8], old = 0;
    size_t at[16 * 16 + 8], n = 0;
    for (size_t i = 0; i < end; i++)
      for (uint32_t lanes = lanes_above(sums[i], bound); lanes && n <= 15 * 16; lanes &= lanes - 1) {
        float lane_sums[16];
        store(lane_sums, sums[i]);
        size_t lane = 0;
        while (!(lanes >> lane & 1)) lane++;
        old += (double)lane_sums[lane];
        for (size_t j = 0; j < vectors(i); j++, n++) at[n] = from + first(i) + 16 * j + lane, terms[n] = x.exactly(at[n]);
      }
    for (size_t i = n; i < n + 8; i++) terms[i] = -infinity<double>();
    const double factor = kDoubleToFloat;
    const ExpVector<double> e(fine, octave);
    f64x8 t, total = splat(0.), top = splat(0.);
    for (size_t i = 0; i < n; i += 8) {
      f64x8 q = exp_below<false>(e, load(terms + i), t);
      total = add(total, q), top = max_skip_nan(top, q);
      store(terms + i, q);
    }
    sum.mantissa += reduce_add(total) * factor - old;
    double peak = reduce_max(top);
    if (peak * factor <= sum.mantissa / 2) return;
    for (size_t i = 0; i < n; i++)
      if (terms[i] == peak) sum.peak = peak * factor, sum.peak_at = at[i];
  }
  static ALWAYS void exact(f32x16 v, f64x8& low, f64x8& high) { low = low_f64(v), high = high_f64(v); }
  static ALWAYS void exact(Two<f32x16> v, f64x8& low, f64x8& high) {
    low = add(low_f64(v.x), low_f64(v.low)), high = add(high_f64(v.x), high_f64(v.low));
  }
};

}  // namespace
