// Float sums of values that many elements share.
//
// The roundings of q, and of the additions, average out over many different values. Over copies of a few they do not: a
// clamp, a coarse type or constants may have filled a row with such, whose common errors would be the sum's, and with it
// every result's. So a sample of each block is searched for values that are met twice; does one of them make up a good part of
// the sum, the block is added up once more, in doubles, with such values' terms from the double exponential.
#pragma once
#include "../math/exp.h"

namespace {

constexpr size_t kSample = 16;  // vectors: what makes up a twentieth of a block is met more than once, most often

// Logits of one vector, be they floats or (Two) sums of two.
SIMD_INLINE f32x16 low_part(f32x16) { return splat(0.f); }
SIMD_INLINE f32x16 low_part(Two<f32x16> v) { return v.low; }
SIMD_INLINE void assign(f32x16& v, f32x16 high, f32x16) { v = high; }
SIMD_INLINE void assign(Two<f32x16>& v, f32x16 high, f32x16 low) { v = {high, low}; }
SIMD_INLINE uint32_t lanes_equal(Two<f32x16> a, Two<f32x16> b) { return lanes_equal(a.x, b.x) & lanes_equal(a.low, b.low); }

// Different values, a lane each.
template <class V> struct Values {
  float high[16], low[16];
  size_t count = 0;

  Values() { store(high, splat(-infinity<float>())), store(low, splat(0.f)); }
  // The value in the lowest of some lanes of v.
  void add(V v, uint32_t lanes) {
    float a[16], b[16];
    store(a, high_part(v)), store(b, low_part(v));
    size_t lane = lowest_bit(lanes);
    for (size_t i = 0; i < count; i++)
      if (high[i] == a[lane] && low[i] == b[lane]) return;
    if (count < 16) high[count] = a[lane], low[count++] = b[lane];
  }
  ALWAYS uint32_t lanes(size_t i, V v) const {
    V one;
    assign(one, splat(high[i]), splat(low[i]));
    return lanes_equal(v, one);
  }
};

// The values that make up a part of the sum of a block of n elements, and their terms.
template <class V> struct Repeated {
  Values<V> values;
  double q[16];
  bool many = false;  // enough to count them

  template <class Source> ALWAYS Repeated(const Source& x, size_t from, size_t n, const ExpVector<float>& e, const ExpVector<double>& fine, double sum) {
    size_t m = n / 16 < kSample ? n / 16 : kSample, step = n / 16 / m * 16;
    V v[kSample], last = v[0] = x.at(from);
    f32x16 top = high_part(last);
    uint32_t again = 0;
    for (size_t j = 1; j < m; j++) {
      v[j] = x.at(from + j * step);
      again |= lanes_equal(v[j], last), top = max_skip_nan(top, high_part(v[j]));
      last = v[j];
    }
    f32x16 largest = splat(reduce_max(top));
    uint32_t tops = lanes_equal(top, largest);
    if (!again && !(tops & (tops - 1))) return;
    Values<V> twice;
    for (size_t j = 0; j < m; j++) {
      uint32_t counts = lanes_above(high_part(v[j]), e.low);  // −∞ is no value
      again = lanes_equal(v[j], v[j ? j - 1 : m - 1]) & counts, tops = lanes_equal(high_part(v[j]), largest) & counts;
      if (again) twice.add(v[j], again);
      if (tops) twice.add(v[j], tops);
    }
    if (!twice.count) return;
    double terms[16];
    f64x8 low = add(low_f64(load(twice.high)), low_f64(load(twice.low))), high = add(high_f64(load(twice.high)), high_f64(load(twice.low)));
    store(terms, mul(exp_for_float(fine, low), splat(kDoubleToFloat))), store(terms + 8, mul(exp_for_float(fine, high), splat(kDoubleToFloat)));
    for (size_t i = 0; i < twice.count; i++) {
      size_t seen = 0;
      for (size_t j = 0; j < m; j++) seen += bit_count(twice.lanes(i, v[j]));
      double share = (double)seen * terms[i] * (double)n / (double)(16 * m);
      many |= share > sum / 16;
      if (share > sum / 64) q[values.count] = terms[i], values.high[values.count] = twice.high[i], values.low[values.count++] = twice.low[i];
    }
  }
  // The value in one lane of v as well.
  void include(V v, uint32_t lane, const ExpVector<double>& fine) {
    size_t before = values.count;
    values.add(v, lane);
    many = true;
    if (values.count == before) return;
    double term[8];
    store(term, exp_for_float(fine, splat((double)values.high[before] + (double)values.low[before])));
    q[before] = term[0] * kDoubleToFloat;
  }
  // A sample that has seen a value once or twice says little of how often it is there; counting is cheap beside adding up again.
  template <class Source> double largest_share(const Source& x, size_t from, size_t n) const {
    size_t times[16] = {};
    for (size_t i = 0; i < n; i += 16) {
      size_t left = n - i;
      V v = left < 16 ? x.at(from + i, left) : x.at(from + i);
      uint32_t all = left < 16 ? (1u << left) - 1 : 0xFFFF;
      for (size_t k = 0; k < values.count; k++) times[k] += bit_count(values.lanes(k, v) & all);
    }
    double most = 0;
    for (size_t k = 0; k < values.count; k++)
      if (double share = (double)times[k] * q[k]; share > most) most = share;
    return most;
  }
};

}  // namespace
