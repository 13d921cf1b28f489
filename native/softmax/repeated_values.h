// Whether copies of a value may be a good part of a block's sum.
//
// Rounding errors of terms, and of additions, cancel over many different values. Over copies of a few values they do
// not: a clamp, a coarse type or constants fill rows with copies, whose common error would be an error of every result.
// Such a block is summed again in pairs of floats (pair_sum.h), whatever the values and their copies.
#pragma once
#include "../math/exp.h"

namespace {

// Vectors of a sample. It most often holds a value twice that makes up a twentieth of the block.
constexpr size_t kSampleVectors = 16;

// The lower number of each logit: a logit is a float, or a sum of two floats.
SIMD_INLINE f32x16 low_part(f32x16) { return splat(0.f); }
SIMD_INLINE f32x16 low_part(Two<f32x16> v) { return v.low; }
SIMD_INLINE void assign(f32x16& v, f32x16 high, f32x16) { v = high; }
SIMD_INLINE void assign(Two<f32x16>& v, f32x16 high, f32x16 low) { v = {high, low}; }
SIMD_INLINE uint32_t lanes_equal(Two<f32x16> a, Two<f32x16> b) {
  return lanes_equal(a.x, b.x) & lanes_equal(a.low, b.low);
}

// Up to sixteen different values.
template <class V> struct DistinctValues {
  float high[16], low[16];
  size_t count = 0;

  DistinctValues() {
    store(high, splat(-infinity<float>()));
    store(low, splat(0.f));
  }
  // Adds the value in the lowest of `lanes` of v.
  void add(V v, uint32_t lanes) {
    float a[16], b[16];
    store(a, high_part(v));
    store(b, low_part(v));
    size_t lane = lowest_bit(lanes);
    for (size_t i = 0; i < count; i++)
      if (high[i] == a[lane] && low[i] == b[lane]) return;
    if (count < 16) {
      high[count] = a[lane];
      low[count++] = b[lane];
    }
  }
  // Returns the lanes of v that hold value i.
  ALWAYS uint32_t lanes(size_t i, V v) const {
    V value;
    assign(value, splat(high[i]), splat(low[i]));
    return lanes_equal(v, value);
  }
};

// Searches a sample of the n elements for values that occur twice, and for its largest values. Returns whether copies
// of one may be more than 1/16 of `sum`, the block's float sum.
template <class Source> NEVER_INLINE bool has_copies(const Source& x, size_t from, size_t n, const ExpVector<float>& e,
                                                     const ExpVector<double>& double_e, double sum) {
  using V = decltype(x.at(from));
  size_t m = n / 16 < kSampleVectors ? n / 16 : kSampleVectors, step = n / 16 / m * 16;
  V v[kSampleVectors], last = v[0] = x.at(from);
  f32x16 tops = high_part(last);
  uint32_t repeats = 0;
  for (size_t j = 1; j < m; j++) {
    v[j] = x.at(from + j * step);
    repeats |= lanes_equal(v[j], last);
    tops = max_skip_nan(tops, high_part(v[j]));
    last = v[j];
  }
  f32x16 top = splat(reduce_max(tops));
  uint32_t top_lanes = lanes_equal(tops, top);
  if (!repeats && !(top_lanes & (top_lanes - 1))) return false;
  DistinctValues<V> candidates;
  for (size_t j = 0; j < m; j++) {
    uint32_t counts = lanes_above(high_part(v[j]), e.low);  // −∞ is no value
    repeats = lanes_equal(v[j], v[j ? j - 1 : m - 1]) & counts;
    top_lanes = lanes_equal(high_part(v[j]), top) & counts;
    if (repeats) candidates.add(v[j], repeats);
    if (top_lanes) candidates.add(v[j], top_lanes);
  }
  if (!candidates.count) return false;
  double terms[16];
  f64x8 low = add(low_f64(load(candidates.high)), low_f64(load(candidates.low)));
  f64x8 high = add(high_f64(load(candidates.high)), high_f64(load(candidates.low)));
  store(terms, mul(exp_for_float(double_e, low), splat(kDoubleToFloat)));
  store(terms + 8, mul(exp_for_float(double_e, high), splat(kDoubleToFloat)));
  bool is_heavy = false;
  for (size_t i = 0; i < candidates.count; i++) {
    size_t seen = 0;
    for (size_t j = 0; j < m; j++) seen += bit_count(candidates.lanes(i, v[j]));
    is_heavy |= (double)seen * terms[i] * (double)n / (double)(16 * m) > sum / 16;
  }
  return is_heavy;
}

}  // namespace
