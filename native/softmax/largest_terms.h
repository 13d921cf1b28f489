// The correction of a float sum: its largest terms are summed again in double.
//
// A term is rounded to float, and so is each node of the tree that adds sixteen terms. Over many terms of like size
// these errors cancel. A few large terms do not cancel: their errors would be an error of the sum, and of every result.
//
//   1. sum_block keeps the sum of each lane of each tree: a lane sum is the sum of sixteen, of four, or of one term.
//   2. A lane sum of more than 1/16 of the block is heavy. There are fifteen at most, and few in long rows.
//   3. correct_sum computes the terms of heavy lanes again in double, and puts them in place of their float sums.
//   4. If copies of a value may be a good part of the rest, the rest is summed anew, in pairs of floats.
//   5. The sum without its peak, where wanted, is corrected in the same way, or is NaN: sum_others.
//
// In this file `e` gives float terms, and `double_e` the same terms in double.
#pragma once
#include "../math/exp_parts.h"
#include "../math/sum.h"
#include "../rows/run.h"
#include "pair_sum.h"
#include "repeated_values.h"

namespace {

// Logits as doubles, the lower eight lanes and the upper eight.
SIMD_INLINE void to_doubles(f32x16 v, f64x8& low, f64x8& high) {
  low = low_f64(v);
  high = high_f64(v);
}
SIMD_INLINE void to_doubles(Two<f32x16> v, f64x8& low, f64x8& high) {
  low = add(low_f64(v.x), low_f64(v.low));
  high = add(high_f64(v.x), high_f64(v.low));
}

// The lane sums of a block, in the order of its elements, and what they correct.
struct LaneSums {
  static constexpr size_t kCapacity = kBlock / 256 + 3 + 4;
  f32x16 sums[kCapacity];  // first the trees of sixteen vectors, then the trees of four, then single vectors
  size_t count = 0, trees_of_16 = 0, trees_of_4 = 0;

  ALWAYS void append(const f32x16* v, size_t n) {
    for (size_t i = 0; i < n; i++) sums[count++] = v[i];
  }
  // Returns the number of vectors in tree i.
  size_t vectors_of(size_t i) const { return i < trees_of_16 ? 16 : i < trees_of_16 + trees_of_4 ? 4 : 1; }
  // Returns the first element of tree i, counted from the start of the block.
  size_t first_element(size_t i) const {
    if (i < trees_of_16) return 256 * i;
    return i < trees_of_16 + trees_of_4 ? 256 * trees_of_16 + 64 * (i - trees_of_16)
                                        : 256 * trees_of_16 + 64 * trees_of_4 + 16 * (i - trees_of_16 - trees_of_4);
  }

  // The fewest elements of which a sample is taken.
  static constexpr size_t kFewestForSample = 2 * 16;

  // Corrects the float sum of n elements; finds its peak, and its others if wants_others. `octave` is the reference of
  // the terms, double_scale the scale of the row's temperature.
  template <class Source> NEVER_INLINE void correct_sum(const Source& x, size_t from, size_t n,
                                                        const ExpVector<float>& e, const ExpScale<double>& double_scale,
                                                        double octave, bool wants_others, Sum& sum) const {
    const ExpVector<double> double_e(double_scale, octave);
    f32x16 bound = splat((float)(sum.mantissa / 16));
    f32x16 light_tops = splat(0.f);
    ExactTerms t;
    for (size_t i = 0; i < count; i++) {
      if (uint32_t lanes = lanes_above(sums[i], bound)) collect_terms(x, from, i, lanes, t);
      light_tops = max_skip_nan(light_tops, zero_below(sums[i], bound, sums[i]));
    }
    const Reference reference = {double_scale, octave};
    double heavy = t.count ? correct_heavy(x, from, n, bound, e, double_e, reference, wants_others, t, sum) : 0;
    if (n < kFewestForSample || sum.mantissa - heavy < sum.mantissa / 8) return;
    // In 1,024 elements the sample is a quarter of the block, and time is short: one level is enough.
    if (has_copies(x, from, n, e, double_e, sum.mantissa) ||
        has_equal_lanes(x, from, light_tops, e, (float)sum.mantissa, n > 1024 ? 5 : 1))
      sum.mantissa = heavy + sum_light(x, from, n, bound, light_tops, e, reference);
  }
  // Whether there are values that a sample seldom meets: some dozens or hundreds of copies can be most of a sum.
  //
  // Then many lanes hold one copy each. Of the sixteen largest light sums at least three are equal, and far above the
  // mean. Some lanes hold two copies, or another large term: `levels` says how many different sums are searched.
  template <class Source> ALWAYS bool has_equal_lanes(const Source& x, size_t from, f32x16 light_tops,
                                                      const ExpVector<float>& e, float sum, int levels) const {
    const float least = sum * 2.5f / 16 / (float)count;  // 2.5 times the mean lane sum
    for (; levels > 0; levels--) {
      float level = reduce_max(light_tops);
      uint32_t equal = lanes_above(light_tops, splat(0.99f * level));
      if (level < least) return false;
      if (bit_count(equal) > 2 && has_large_term(x, from, level, e)) return true;
      light_tops = select_bits(splat(0.f), light_tops, equal);
    }
    return false;
  }
  // Whether the largest term of a lane whose sum is `level` is a good part of the lane.
  template <class Source>
  SELDOM bool has_large_term(const Source& x, size_t from, float level, const ExpVector<float>& e) const {
    size_t i = 0;
    while (!lanes_equal(sums[i], splat(level))) i++;
    size_t lane = lowest_bit(lanes_equal(sums[i], splat(level)));
    float largest = 0;
    for (size_t j = 0, at = from + first_element(i) + lane; j < vectors_of(i); j++, at += 16) {
      f32x16 t;
      float q = reduce_max(first_n(exp_below<false>(e, x.at(at, 1), t), 1));
      largest = q > largest ? q : largest;
    }
    return largest > 0.3f * level;
  }
  struct Reference {
    const ExpScale<double>& scale;
    double octave;
  };
  // Returns the sum of the light lanes (not above `bound`) in pairs of floats. light_tops: the largest light sum of
  // each lane, which no term exceeds.
  template <class Source> NEVER_INLINE double sum_light(const Source& x, size_t from, size_t n, f32x16 bound,
                                                        f32x16 light_tops, const ExpVector<float>& e,
                                                        const Reference& of) const {
    ExpParts parts(e, of.scale);
    const int up = exponent_of((double)reduce_max(light_tops)) - ExpTraits<float>::kBias;
    parts.refer_to_octave(of.octave + up);
    f64x8 low = splat(0.), high = low;
    for (size_t i = 0; i < count; i++) {
      const uint32_t light = ~lanes_above(sums[i], bound) & 0xFFFF;
      const size_t first = first_element(i), vectors = vectors_of(i);
      const f32x16 zero = splat(0.f);
      PairSum sum;
      const auto pair = [&](size_t j, auto v, uint32_t lanes) ALWAYS_LAMBDA {
        f32x16 rest;
        const f32x16 s = parts.exp_of(v, rest);
        if (lanes == 0xFFFF) return sum.add_table(j, s, rest);
        return sum.add_table(j, select_bits(s, zero, lanes), select_bits(rest, zero, lanes));
      };
      for (size_t j = 0; j < vectors; j += 4) {
        f32x16 rests[4] = {zero, zero, zero, zero};
        UNROLL_WHERE_ROOM for (size_t k = 0; k < 4; k++) {
          const size_t at = first + 16 * (j + k);
          if (j + k == vectors) break;
          const bool is_cut = n - at < 16;
          rests[k] = pair(k, is_cut ? x.at(from + at, n - at) : x.at(from + at),
                          is_cut ? light & ((1u << (n - at)) - 1) : light);
        }
        sum.rests = add(sum.rests, add(add(rests[0], rests[1]), add(rests[2], rests[3])));
      }
      sum.add_to(low, high);
    }
    return reduce_add(add(low, high)) * (ExpTraits<float>::kG / ExpParts::kG * pow2(up));
  }

  // Terms to compute in double, of lanes whose float sums add up to float_sum.
  struct ExactTerms {
    static constexpr size_t kMost = 15 * 16;
    double values[kMost + 16 + 8], float_sum = 0;  // logits, which exponentiate turns into terms
    size_t index[kMost + 16 + 8], count = 0;
  };
  // Collects the logits of some lanes of tree i.
  template <class Source>
  ALWAYS void collect_terms(const Source& x, size_t from, size_t i, uint32_t lanes, ExactTerms& t) const {
    float lane_sums[16];
    store(lane_sums, sums[i]);
    for (; lanes && t.count <= ExactTerms::kMost; lanes &= lanes - 1) {
      size_t lane = lowest_bit(lanes);
      t.float_sum += (double)lane_sums[lane];
      for (size_t j = 0; j < vectors_of(i); j++, t.count++) {
        t.index[t.count] = from + first_element(i) + 16 * j + lane;
        t.values[t.count] = x.exactly(t.index[t.count]);
      }
    }
  }
  // Turns collected logits into terms. Returns the sum in float units, and the largest term in double units.
  static ALWAYS double exponentiate(const ExpVector<double>& double_e, ExactTerms& t, double& largest) {
    for (size_t i = t.count; i < t.count + 8; i++) t.values[i] = -infinity<double>();
    f64x8 total = splat(0.), largest_terms = splat(0.);
    for (size_t i = 0; i < t.count; i += 8) {
      f64x8 q = exp_for_float(double_e, load(t.values + i));
      total = add(total, q);
      largest_terms = max_skip_nan(largest_terms, q);
      store(t.values + i, q);
    }
    largest = reduce_max(largest_terms);
    return reduce_add(total) * kDoubleToFloat;
  }
  // Puts double terms in place of their float sums, and returns the sum of the terms. Finds a peak of more than 1/8.
  template <class Source> ALWAYS double correct_heavy(const Source& x, size_t from, size_t n, f32x16 bound,
                                                      const ExpVector<float>& e, const ExpVector<double>& double_e,
                                                      const Reference& of, bool wants_others, ExactTerms& t,
                                                      Sum& sum) const {
    double peak, heavy = exponentiate(double_e, t, peak);
    sum.mantissa += heavy - t.float_sum;
    if (peak * kDoubleToFloat <= sum.mantissa / 8) return heavy;  // log_long_rows.h needs an eighth, softmax.h more
    size_t peak_index = t.count;
    for (size_t i = 0; i < t.count; i++)
      if (t.values[i] == peak) {
        sum.peak = peak * kDoubleToFloat;
        sum.peak_at = t.index[i];
        peak_index = i;
      }
    if (!wants_others) return heavy;
    double heavy_others = 0;
    for (size_t i = 0; i < t.count; i++) heavy_others += i == peak_index ? 0 : t.values[i] * kDoubleToFloat;
    sum.others = sum_others(x, from, n, bound, e, double_e, of, heavy_others);
    return heavy;
  }
  // Returns the sum of all terms but the peak. Max error: less than a float's last place. Returns NaN if a sample shows
  // that the remaining rounding errors do not cancel. heavy_others is the sum of the lanes above `bound` without the
  // peak. Lanes and repeated values of more than 1/16 of the others are computed in double too.
  template <class Source> ALWAYS double sum_others(const Source& x, size_t from, size_t n, f32x16 bound,
                                                   const ExpVector<float>& e, const ExpVector<double>& double_e,
                                                   const Reference& of, double heavy_others) const {
    const f32x16 zero = splat(0.f);
    f64x8 a = splat(0.), b = a;
    for (size_t i = 0; i < count; i++) {
      f32x16 v = select_bits(zero, sums[i], lanes_above(sums[i], bound));
      a = add(a, low_f64(v));
      b = add(b, high_f64(v));
    }
    double light = reduce_add(add(a, b));
    f32x16 others_bound = splat((float)((light + heavy_others) / 16)), light_tops = zero;
    ExactTerms t;
    for (size_t i = 0; i < count; i++) {
      uint32_t lanes = lanes_above(sums[i], others_bound);
      if (lanes) collect_terms(x, from, i, lanes & ~lanes_above(sums[i], bound), t);
      light_tops = max_skip_nan(light_tops, zero_below(sums[i], others_bound, sums[i]));
    }
    double largest_term, corrected = exponentiate(double_e, t, largest_term);
    light -= t.float_sum;
    double others = heavy_others + corrected + light;
    if (!(light > others / 8)) return others;
    if (n >= kFewestForSample &&
        (has_copies(x, from, n, e, double_e, others) || has_equal_lanes(x, from, light_tops, e, (float)others, 5)))
      return heavy_others + corrected + sum_light(x, from, n, others_bound, light_tops, e, of);
    bool is_biased = has_common_error(x, from, splat(reduce_max(light_tops)), others_bound, double_e);
    return is_biased ? not_a_number<double>() : others;
  }
  // Whether the errors of lane sums not above `bound` add up to more than 0.4 · 2^-24 of the sums.
  //
  // The tree of the largest lane sum is computed again, then other trees, until the error is smaller or eight trees are
  // done. Where a few large terms are most of the sum, a larger error can be chance: independent errors add up to about
  // the root of the sum of their squares.
  template <class Source> NEVER_INLINE bool has_common_error(const Source& x, size_t from, f32x16 largest, f32x16 bound,
                                                             const ExpVector<double>& double_e) const {
    size_t i = 0, whole = count - 1, step = whole < 8 ? 1 : whole / 8;  // the last vector may be cut short
    while (i < whole && !lanes_equal(sums[i], largest)) i++;
    double error_sum = 0, float_sum = 0, squares = 0;
    for (size_t k = 0; i < whole && k < 8 && k < whole; k++) {
      size_t at = (i + k * step) % whole;
      uint32_t lanes = ~lanes_above(sums[at], bound) & 0xFFFF;
      if (k == 0) lanes &= ~(1u << lowest_bit(lanes_equal(sums[i], largest)));
      ExactTerms t;
      collect_terms(x, from, at, lanes, t);
      double largest_term;
      error_sum += exponentiate(double_e, t, largest_term) - t.float_sum;
      float_sum += t.float_sum;
      float lane_sums[16];
      store(lane_sums, sums[at]);
      for (size_t j = 0; j < t.count; lanes &= lanes - 1) {
        double error = -(double)lane_sums[lowest_bit(lanes)];
        for (size_t end = j + vectors_of(at); j < end; j++) error += t.values[j] * kDoubleToFloat;
        squares += error * error;
      }
      if (error_sum * error_sum <= 0x1.4p-51 * float_sum * float_sum) return false;
    }
    return error_sum * error_sum > 6 * squares;
  }
};

}  // namespace
