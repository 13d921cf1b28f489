// What a float sum owes to its largest terms.
//
// q is rounded to float, and so is each node of the tree that adds sixteen of them. Over many terms of like size that
// averages out. A few large terms do not: their roundings would be the sum's, and with it an error of every result.
// So the sums of each lane are kept, and the terms of any lane that makes up more than a sixteenth of the block are
// computed again in double. There are fifteen such lanes at the most, and in long rows seldom more than a few.
#pragma once
#include "repeated.h"
#include "../math/sum.h"
#include "../rows/run.h"

namespace {

struct Partials {
  static constexpr size_t kMost = kBlock / 256 + 3 + 4;
  f32x16 sums[kMost];     // of sixteen vectors each, then of four, then of one
  size_t count = 0, sixteens = 0, fours = 0;

  ALWAYS void keep(const f32x16* v, size_t n) { for (size_t i = 0; i < n; i++) sums[count++] = v[i]; }
  size_t vectors(size_t i) const { return i < sixteens ? 16 : i < sixteens + fours ? 4 : 1; }
  size_t first(size_t i) const {
    if (i < sixteens) return 256 * i;
    return i < sixteens + fours ? 256 * sixteens + 64 * (i - sixteens) : 256 * sixteens + 64 * fours + 16 * (i - sixteens - fours);
  }

  // `e` is what the n elements were summed with, `fine` the scale of the row's temperature for doubles; `parted` asks for the sum
  // without the peak.
  template <class Source>
  NEVER_INLINE void refine(const Source& x, size_t from, size_t n, const ExpVector<float>& e, const ExpScale<double>& fine, double octave, bool parted, Sum& sum) const {
    const ExpVector<double> exact(fine, octave);
    f32x16 bound = splat((float)(sum.mantissa / 16));
    f32x16 top = splat(0.f);  // of the lanes not above it
    Terms t;
    for (size_t i = 0; i < count; i++) {
      if (uint32_t lanes = lanes_above(sums[i], bound)) take(x, from, i, lanes, t);
      top = max_skip_nan(top, zero_below(sums[i], bound, sums[i]));
    }
    double heavy = t.n ? correct(x, from, n, bound, e, exact, parted, t, sum) : 0;
    if (n < kFewest || sum.mantissa - heavy < sum.mantissa / 8) return;
    auto found = copies(x, from, n, top, e, exact, sum.mantissa, n > 1024 ? 5 : 1);
    if (found.many) sum.mantissa = heavy + light_sum(x, from, n, bound, e, found);
  }
  static constexpr size_t kFewest = 2 * 16;  // elements, for a sample
  // Values whose copies are a good part of a sum, `many` if there are such. `top` are the largest sums of each lane.
  template <class Source> NEVER_INLINE auto copies(const Source& x, size_t from, size_t n, f32x16 top, const ExpVector<float>& e, const ExpVector<double>& exact, double sum, int levels) const {
    Repeated<decltype(x.at(from))> found(x, from, n, e, exact, sum);
    include_alike(x, from, top, e, exact, (float)sum, levels, found);
    found.many = found.many && found.largest_share(x, from, n) > sum / 16;
    return found;
  }
  // Some dozens or hundreds of copies of a value may be most of a sum and yet seldom met in a sample. Then lanes hold one each,
  // some two, or something else as well: of the largest of sixteen at least three are alike, and far above the mean. So many `levels` are looked at:
  // five, or one where the sample is a quarter of all and time is short.
  template <class Source, class V> ALWAYS void include_alike(const Source& x, size_t from, f32x16 top, const ExpVector<float>& e, const ExpVector<double>& exact, float sum, int levels, Repeated<V>& found) const {
    const float far = sum * 2.5f / 16 / (float)count;  // of a mean lane
    for (; levels > 0; levels--) {
      float most = reduce_max(top);
      uint32_t near = lanes_above(top, splat(0.99f * most));
      if (most < far) break;
      if (bit_count(near) > 2) include_largest(x, from, most, e, exact, found);
      top = select_bits(splat(0.f), top, near);
    }
  }
  // The largest value of a lane with this sum, if it is a good part of it.
  template <class Source, class V> SELDOM void include_largest(const Source& x, size_t from, float level, const ExpVector<float>& e, const ExpVector<double>& fine, Repeated<V>& repeated) const {
    size_t i = 0;
    while (!lanes_equal(sums[i], splat(level))) i++;
    size_t lane = lowest_bit(lanes_equal(sums[i], splat(level)));
    V best = x.at(from + first(i) + lane, 1);
    float largest = 0;
    for (size_t j = 0, at = from + first(i) + lane; j < vectors(i); j++, at += 16) {
      V v = x.at(at, 1);
      f32x16 t;
      float q = reduce_max(first_n(exp_below<false>(e, v, t), 1));
      if (q > largest) largest = q, best = v;
    }
    if (largest > 0.3f * level) repeated.include(best, 1, fine);
  }
  // The sum of all terms but those of the lanes above `bound`.
  template <class Source, class V> SELDOM double light_sum(const Source& x, size_t from, size_t n, f32x16 bound, const ExpVector<float>& e, const Repeated<V>& repeated) const {
    f64x8 a = splat(0.), b = a;
    for (size_t i = 0; i < count; i++) {
      for (size_t j = 0, at = first(i); j < vectors(i); j++, at += 16) {
        size_t left = n - at < 16 ? n - at : 16;
        uint32_t light = ~lanes_above(sums[i], bound) & ((1u << left) - 1);
        V v = left < 16 ? x.at(from + at, left) : x.at(from + at);
        f32x16 t, q = select_bits(exp_below<false>(e, v, t), splat(0.f), light);
        f64x8 low = low_f64(q), high = high_f64(q);
        for (size_t k = 0; k < repeated.values.count; k++) {
          uint32_t lanes = repeated.values.lanes(k, v) & light;
          f64x8 term = splat(repeated.q[k]);
          low = select_bits(term, low, lanes), high = select_bits(term, high, lanes >> 8);
        }
        a = add(a, low), b = add(b, high);
      }
    }
    return reduce_add(add(a, b));
  }
  // Terms that are computed again, of lanes whose float sums add up to `old`.
  struct Terms {
    static constexpr size_t kMany = 15 * 16;
    double q[kMany + 16 + 8], old = 0;
    size_t at[kMany + 16 + 8], n = 0;
  };
  template <class Source> ALWAYS void take(const Source& x, size_t from, size_t i, uint32_t lanes, Terms& t) const {
    float lane_sums[16];
    store(lane_sums, sums[i]);
    for (; lanes && t.n <= Terms::kMany; lanes &= lanes - 1) {
      size_t lane = lowest_bit(lanes);
      t.old += (double)lane_sums[lane];
      for (size_t j = 0; j < vectors(i); j++, t.n++) t.at[t.n] = from + first(i) + 16 * j + lane, t.q[t.n] = x.exactly(t.at[t.n]);
    }
  }
  // Their sum, in float units; t.q become the terms, and `most` the largest one.
  static ALWAYS double evaluate(const ExpVector<double>& e, Terms& t, double& most) {
    for (size_t i = t.n; i < t.n + 8; i++) t.q[i] = -infinity<double>();
    f64x8 total = splat(0.), top = splat(0.);
    for (size_t i = 0; i < t.n; i += 8) {
      f64x8 q = exp_for_float(e, load(t.q + i));
      total = add(total, q), top = max_skip_nan(top, q);
      store(t.q + i, q);
    }
    most = reduce_max(top);
    return reduce_add(total) * kDoubleToFloat;
  }
  // Puts the terms in place of their float sums, and returns their sum.
  template <class Source> ALWAYS double correct(const Source& x, size_t from, size_t n, f32x16 bound, const ExpVector<float>& e, const ExpVector<double>& exact, bool parted, Terms& t, Sum& sum) const {
    double peak, heavy = evaluate(exact, t, peak);
    sum.mantissa += heavy - t.old;
    if (peak * kDoubleToFloat <= sum.mantissa / 8) return heavy;  // log_quick.h asks for an eighth, softmax.h for more
    size_t which = t.n;
    for (size_t i = 0; i < t.n; i++)
      if (t.q[i] == peak) sum.peak = peak * kDoubleToFloat, sum.peak_at = t.at[i], which = i;
    if (!parted) return heavy;
    double without = 0;
    for (size_t i = 0; i < t.n; i++) without += i == which ? 0 : t.q[i] * kDoubleToFloat;
    sum.others = others(x, from, n, bound, e, exact, without);
    return heavy;
  }
  // The sum of all but the peak, to a part of a float's last place. `heavy` is that of the lanes above `bound` without it; what
  // makes up a sixteenth of the others, or are copies that do, is computed again too. Are there signs that errors of the rest do not average
  // out either, it is a NaN.
  template <class Source> ALWAYS double others(const Source& x, size_t from, size_t n, f32x16 bound, const ExpVector<float>& e, const ExpVector<double>& exact, double heavy) const {
    const f32x16 none = splat(0.f);
    f64x8 a = splat(0.), b = a;
    for (size_t i = 0; i < count; i++) {
      f32x16 v = select_bits(none, sums[i], lanes_above(sums[i], bound));
      a = add(a, low_f64(v)), b = add(b, high_f64(v));
    }
    double light = reduce_add(add(a, b));
    f32x16 finer = splat((float)((light + heavy) / 16)), top = none;
    Terms t;
    for (size_t i = 0; i < count; i++) {
      uint32_t lanes = lanes_above(sums[i], finer);
      if (lanes) take(x, from, i, lanes & ~lanes_above(sums[i], bound), t);
      top = max_skip_nan(top, zero_below(sums[i], finer, sums[i]));
    }
    double largest_term, again = evaluate(exact, t, largest_term);
    light -= t.old;
    double all = heavy + again + light;
    if (!(light > all / 8)) return all;
    if (n >= kFewest)
      if (auto found = copies(x, from, n, top, e, exact, all, 5); found.many) return heavy + again + light_sum(x, from, n, finer, e, found);
    return err_together(x, from, splat(reduce_max(top)), finer, exact) ? not_a_number<double>() : all;
  }
  // Whether the sums of lanes not above `bound` are off by more than 0.4 · 2^-24 together. Those beside the largest are computed again, then
  // others, until these are not or there are eight times sixteen of them. By chance they might be, where a few large terms make up most:
  // then they are off by not much more than as many lanes that err each by itself.
  template <class Source> NEVER_INLINE bool err_together(const Source& x, size_t from, f32x16 largest, f32x16 bound, const ExpVector<double>& e) const {
    size_t i = 0, whole = count - 1, step = whole < 8 ? 1 : whole / 8;  // the last may end within a vector
    while (i < whole && !lanes_equal(sums[i], largest)) i++;
    double off = 0, old = 0, squares = 0;
    for (size_t k = 0; i < whole && k < 8 && k < whole; k++) {
      size_t at = (i + k * step) % whole;
      uint32_t lanes = ~lanes_above(sums[at], bound) & 0xFFFF;
      if (k == 0) lanes &= ~(1u << lowest_bit(lanes_equal(sums[i], largest)));
      Terms t;
      take(x, from, at, lanes, t);
      double term;
      off += evaluate(e, t, term) - t.old, old += t.old;
      float floats[16];
      store(floats, sums[at]);
      for (size_t j = 0; j < t.n; lanes &= lanes - 1) {
        double error = -(double)floats[lowest_bit(lanes)];
        for (size_t end = j + vectors(at); j < end; j++) error += t.q[j] * kDoubleToFloat;
        squares += error * error;
      }
      if (off * off <= 0x1.4p-51 * old * old) return false;
    }
    return off * off > 6 * squares;
  }
  static ALWAYS void exact(f32x16 v, f64x8& low, f64x8& high) { low = low_f64(v), high = high_f64(v); }
  static ALWAYS void exact(Two<f32x16> v, f64x8& low, f64x8& high) {
    low = add(low_f64(v.x), low_f64(v.low)), high = add(high_f64(v.x), high_f64(v.low));
  }
};

}  // namespace
