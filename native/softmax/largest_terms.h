// The correction of a float sum: its largest terms are summed again in double.
//
// A term is rounded to float, and so is each node of the tree that adds sixteen terms. Over many terms of like size
// these errors cancel. A few large terms do not cancel: their errors would be an error of the sum, and of every result.
//
//   1. sum_block keeps the sum of each lane of each tree: a lane sum is the sum of sixteen, of four, or of one term.
//   2. A lane sum of more than 1/16 of the block is heavy. There are fifteen at most, and few in long rows.
//   3. correct_sum computes the terms of heavy lanes again in double, and puts them in place of their float sums.
//   4. If copies of a value are a good part of the rest, the rest is summed anew too (repeated_values.h).
//   5. The sum without its peak, where wanted, is corrected in the same way, or is NaN: sum_others.
//
// In this file `e` gives float terms, and `double_e` the same terms in double.
#pragma once
#include "repeated_values.h"
#include "../math/sum.h"
#include "../rows/run.h"

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
    double heavy = t.count ? correct_heavy(x, from, n, bound, e, double_e, wants_others, t, sum) : 0;
    if (n < kFewestForSample || sum.mantissa - heavy < sum.mantissa / 8) return;
    // In 1,024 elements the sample is a quarter of the block, and time is short: one level is enough.
    auto repeated = find_repeated(x, from, n, bound, light_tops, e, double_e, sum.mantissa, n > 1024 ? 5 : 1);
    if (repeated.has_heavy) sum.mantissa = heavy + sum_light(x, from, n, bound, e, repeated);
  }
  // Returns the values whose copies in light lanes (not above `bound`) are a good part of `sum`. light_tops: the
  // largest light sum of each lane.
  template <class Source> NEVER_INLINE auto find_repeated(const Source& x, size_t from, size_t n, f32x16 bound,
                                                          f32x16 light_tops, const ExpVector<float>& e,
                                                          const ExpVector<double>& double_e, double sum,
                                                          int levels) const {
    RepeatedValues<decltype(x.at(from))> repeated(x, from, n, e, double_e, sum);
    include_equal_lanes(x, from, light_tops, e, double_e, (float)sum, levels, repeated);
    if (!repeated.has_heavy) return repeated;
    count_copies(x, from, n, bound, e, repeated);
    repeated.has_heavy = false;
    for (size_t k = 0; k < repeated.values.count; k++) repeated.has_heavy |= repeated.share(k) > sum / 16;
    return repeated;
  }
  // Calls body(v, lanes) for each vector of a block, with its light lanes.
  template <class Source, class Body>
  ALWAYS void each_light_vector(const Source& x, size_t from, size_t n, f32x16 bound, const Body& body) const {
    for (size_t i = 0; i < count; i++) {
      const uint32_t light = ~lanes_above(sums[i], bound) & 0xFFFF;
      for (size_t j = 0, at = first_element(i); j < vectors_of(i); j++, at += 16) {
        const size_t left = n - at;
        if (left < 16) body(x.at(from + at, left), light & ((1u << left) - 1));
        else body(x.at(from + at), light);
      }
    }
  }
  // Counts the copies of each value. A sample that holds a value once or twice says little.
  template <class Source, class V> NEVER_INLINE void count_copies(const Source& x, size_t from, size_t n, f32x16 bound,
                                                                  const ExpVector<float>& e,
                                                                  RepeatedValues<V>& repeated) const {
    for (size_t& times : repeated.times) times = 0;
    uint32_t others = 0;
    each_light_vector(x, from, n, bound, [&](V v, uint32_t light) ALWAYS_LAMBDA {
      others |= repeated.count(v, light) & ~lanes_above(e.low, high_part(v));
    });
    repeated.has_others = others != 0;
  }
  // Includes values that a sample seldom meets: some dozens or hundreds of copies can be most of a sum.
  //
  // Then many lanes hold one copy each. Of the sixteen largest light sums at least three are equal, and far above the
  // mean. Some lanes hold two copies, or another large term: `levels` says how many different sums are searched.
  template <class Source, class V> ALWAYS void include_equal_lanes(const Source& x, size_t from, f32x16 light_tops,
                                                                   const ExpVector<float>& e,
                                                                   const ExpVector<double>& double_e, float sum,
                                                                   int levels, RepeatedValues<V>& repeated) const {
    const float least = sum * 2.5f / 16 / (float)count;  // 2.5 times the mean lane sum
    for (; levels > 0; levels--) {
      float level = reduce_max(light_tops);
      uint32_t equal = lanes_above(light_tops, splat(0.99f * level));
      if (level < least) break;
      if (bit_count(equal) > 2) include_largest_of_lane(x, from, level, e, double_e, repeated);
      light_tops = select_bits(splat(0.f), light_tops, equal);
    }
  }
  // Includes the largest value of a lane whose sum is `level`, if its term is a good part of the lane.
  template <class Source, class V>
  SELDOM void include_largest_of_lane(const Source& x, size_t from, float level, const ExpVector<float>& e,
                                      const ExpVector<double>& double_e, RepeatedValues<V>& repeated) const {
    size_t i = 0;
    while (!lanes_equal(sums[i], splat(level))) i++;
    size_t lane = lowest_bit(lanes_equal(sums[i], splat(level)));
    V value = x.at(from + first_element(i) + lane, 1);
    float largest = 0;
    for (size_t j = 0, at = from + first_element(i) + lane; j < vectors_of(i); j++, at += 16) {
      V v = x.at(at, 1);
      f32x16 t;
      float q = reduce_max(first_n(exp_below<false>(e, v, t), 1));
      if (q > largest) {
        largest = q;
        value = v;
      }
    }
    if (largest > 0.3f * level) repeated.include(value, 1, double_e);
  }
  // Returns the sum of the terms of light lanes: counted copies, and other values one by one.
  template <class Source, class V> NEVER_INLINE double sum_light(const Source& x, size_t from, size_t n, f32x16 bound,
                                                                 const ExpVector<float>& e,
                                                                 const RepeatedValues<V>& repeated) const {
    double copies = 0;
    for (size_t k = 0; k < repeated.values.count; k++) copies += repeated.share(k);
    if (!repeated.has_others) return copies;
    f64x8 a = splat(0.), b = a;
    each_light_vector(x, from, n, bound, [&](V v, uint32_t light) ALWAYS_LAMBDA {
      const uint32_t others = repeated.others_among(v, light);
      f32x16 t, q = select_bits(exp_below<false>(e, v, t), splat(0.f), others);
      a = add(a, low_f64(q));
      b = add(b, high_f64(q));
    });
    return copies + reduce_add(add(a, b));
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
                                                      bool wants_others, ExactTerms& t, Sum& sum) const {
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
    sum.others = sum_others(x, from, n, bound, e, double_e, heavy_others);
    return heavy;
  }
  // Returns the sum of all terms but the peak. Max error: less than a float's last place. Returns NaN if a sample shows
  // that the remaining rounding errors do not cancel. heavy_others is the sum of the lanes above `bound` without the
  // peak. Lanes and repeated values of more than 1/16 of the others are computed in double too.
  template <class Source> ALWAYS double sum_others(const Source& x, size_t from, size_t n, f32x16 bound,
                                                   const ExpVector<float>& e, const ExpVector<double>& double_e,
                                                   double heavy_others) const {
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
    if (n >= kFewestForSample)
      if (auto repeated = find_repeated(x, from, n, others_bound, light_tops, e, double_e, others, 5);
          repeated.has_heavy)
        return heavy_others + corrected + sum_light(x, from, n, others_bound, e, repeated);
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
