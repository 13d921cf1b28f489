// The sum of one block: terms q = g · exp(x / T) · 2^(−e), all on one exponent e.
//
//   1. The caller gives the octave of a reference near the maximum, which determines e.
//   2. sum_block computes the terms, and stores them in `out` where a plan wants them.
//   3. Float terms are added in trees of sixteen vectors, then in doubles. Sums of doubles carry rounding errors along.
//      So the error does not grow with the length of a row.
//   4. If sum_block watches the window, it returns false where a value lies outside 256 octaves around the reference.
//   5. largest_terms.h corrects a float sum whose rounding errors do not cancel.
#pragma once
#include "../rows/scan.h"
#include "../rows/vector_total.h"
#include "largest_terms.h"

namespace {

// Whether the shorter polynomial of temperature 1 has code of its own: it saves two of nineteen float operations.
// Halves have no such code, as it would be there for each format.
template <class Source> constexpr bool kHasUnitCode = false;
template <> constexpr bool kHasUnitCode<const float*> = true;

// How a block was summed: its exponent, and whether all its values lie inside the window around the exponent.
struct BlockSum {
  int32_t exponent, inside_window;
};

// Elements from which the rounding errors of trees of four, and of sixteen, vectors cancel.
constexpr size_t kFewestForTrees4 = 512, kFewestForTrees16 = 4096;

// Sums a float block. Returns false if kWatches and a value lies outside the window around `octave`.
//
// kStores: the terms go to `out`. Without kWatches nothing may lie above the window, values below it count as 0, and
// the terms go to `out` if it is not null. wants_others: the sum without its peak is wanted too.
template <bool kStores, bool kWatches, bool kUnit, class Source>
SIMD_INLINE bool sum_block(const Source& x, size_t from, size_t n, const ExpScale<float>& scale,
                           const ExpScale<double>& double_scale, double octave, bool wants_others, float* out,
                           Sum& sum) {
  using X = ExpTraits<float>;
  using V = f32x16;
  constexpr size_t W = 16;
  const ExpVector<float> e(scale, octave);
  const bool stores = kWatches ? kStores : out != nullptr;
  // Unrolls sixteen vectors where that measures faster, in the most frequent case.
  constexpr bool kUnrolled = kWatches && (kRegisters == 1 ? !kStores : kRegisters == 2 && kStores);
  VectorTotal<float> total;
  V window_bits = splat(2.f);
  LaneSums lane_sums;
  auto exp_vector = [&](size_t i, V& t) ALWAYS_LAMBDA {
    auto v = x.read(from + i);
    if constexpr (kWatches && !kStores) KEEP(v);
    V q = kWatches ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t);
    if (stores) store(out + i, q);
    return q;
  };
  auto sum_four_vectors = [&](size_t i) ALWAYS_LAMBDA {
    // All loads come before all stores: a load waits for a store whose address ends in the same twelve bits, which x
    // and out often share. Loads stay in order, or the processor does not prefetch. AVX2 has too few registers for
    // this.
    if constexpr (kWatches && kVectors >= 32) {
      V v[4], q[4], t[4];
      UNROLL
      for (int j = 0; j < 4; j++) {
        v[j] = x.read(from + i + j * W);
        KEEP(v[j]);
      }
      UNROLL
      for (int j = 0; j < 4; j++) q[j] = exp_inside<kUnit>(e, v[j], t[j]);
      UNROLL
      for (int j = 0; kStores && j < 4; j++) store(out + i + j * W, q[j]);
      window_bits = or_bits(or_bits(window_bits, t[0], t[1]), t[2], t[3]);
      return add(add(q[0], q[1]), add(q[2], q[3]));
    }
    if constexpr (!Source::kOneNumber || kRegisters == 4) {  // large code
      V sum;
      for (size_t j = 0; j < 2; j++) {
        V t0, t1, a = exp_vector(i + 2 * j * W, t0), b = exp_vector(i + 2 * j * W + W, t1);
        if (kWatches) window_bits = or_bits(window_bits, t0, t1);
        sum = j ? add(sum, add(a, b)) : add(a, b);
      }
      return sum;
    }
    V t0, t1, t2, t3;
    V a = exp_vector(i, t0), b = exp_vector(i + W, t1);
    if (kWatches) window_bits = or_bits(window_bits, t0, t1);
    V c = exp_vector(i + 2 * W, t2), d = exp_vector(i + 3 * W, t3);
    if (kWatches) window_bits = or_bits(window_bits, t2, t3);
    return add(add(a, b), add(c, d));
  };
  // Where no term is stored, four lane sums are stored at once. A store every kilobyte, to a line that has left the
  // first cache, disturbs the prefetch of x: a row from memory takes 1.3 times as long.
  constexpr size_t kPending = kStores ? 1 : 4;
  V pending[kPending];
  size_t i = 0, pending_count = 0;
  for (; n >= kFewestForTrees16 && i + 16 * W <= n; i += 16 * W) {
    V part[4];
    if (kUnrolled) {
      part[0] = sum_four_vectors(i);
      part[1] = sum_four_vectors(i + 4 * W);
      part[2] = sum_four_vectors(i + 8 * W);
      part[3] = sum_four_vectors(i + 12 * W);
    } else {
      for (size_t j = 0; j < 4; j++) part[j] = sum_four_vectors(i + 4 * j * W);
    }
    V a = add(add(part[0], part[1]), add(part[2], part[3]));
    total += a;
    pending[pending_count++] = a;
    if (pending_count == kPending) {
      lane_sums.append(pending, pending_count);
      pending_count = 0;
    }
  }
  lane_sums.append(pending, pending_count);
  lane_sums.trees_of_16 = lane_sums.count;
  for (; n >= kFewestForTrees4 && i + 4 * W <= n; i += 4 * W) {
    V a = sum_four_vectors(i);
    total += a;
    lane_sums.append(&a, 1);
  }
  lane_sums.trees_of_4 = lane_sums.count - lane_sums.trees_of_16;
  for (; i < n; i += W) {
    size_t left = n - i < W ? n - i : W;
    auto v = left == W ? x.at(from + i) : x.at(from + i, left);
    V t, q = kWatches ? exp_inside<kUnit>(e, v, t) : exp_below<kUnit>(e, v, t);
    if (kWatches) window_bits = or_bits(window_bits, t, t);
    if (stores) left == W ? store(out + i, q) : store_n(out + i, q, left);
    if (left < W) q = first_n(q, left);
    total += q;
    lane_sums.append(&q, 1);
  }
  sum = total.reduce((int32_t)octave - X::kBias);
  if (kWatches && any_bits(window_bits, X::kOutside)) return false;
  if (sum.mantissa - sum.mantissa != 0) return !kWatches;
  lane_sums.correct_sum(x.any(), from, n, e, double_scale, octave, wants_others, sum);
  return true;
}

// Sums a double block, as the float sum_block does. Finds the peak if one term is more than half of the sum.
template <bool kStores, bool kWatches, bool kUnit, class Source>
SIMD_INLINE bool sum_block(const Source& x, size_t from, size_t n, const ExpScale<double>& scale,
                           const ExpScale<double>&, double octave, bool, double* out, Sum& sum) {
  using X = ExpTraits<double>;
  using V = f64x8;
  constexpr size_t W = 8;
  const ExpVector<double> e(scale, octave);
  const bool stores = kWatches ? kStores : out != nullptr;
  VectorTotal<double> total;
  V window_bits = splat(2.), largest_terms = splat(0.);
  for (size_t i = 0; i < n; i += W) {
    size_t left = n - i < W ? n - i : W;
    auto v = left == W ? x.at(from + i) : x.at(from + i, left);
    V t, rest, q = kWatches ? exp_inside<kUnit>(e, v, t, &rest) : exp_below<kUnit>(e, v, t, &rest);
    if (kWatches) window_bits = or_bits(window_bits, t, t);
    if (stores) left == W ? store(out + i, q) : store_n(out + i, q, left);
    if (left < W) {
      q = first_n(q, left);
      rest = first_n(rest, left);
    }
    total.add_pair(q, rest);
    largest_terms = max_skip_nan(largest_terms, q);
  }
  sum = total.reduce((int32_t)octave - X::kBias);
  bool is_finite = sum.mantissa - sum.mantissa == 0;
  if (kWatches && (!is_finite || any_bits(window_bits, X::kOutside))) return false;
  if (!is_finite || !(reduce_max(largest_terms) > sum.mantissa / 2)) return true;
  // The largest term is most of the sum: find it at the maximum.
  double top = maximum<double>(x, from, n);
  for (size_t i = 0; i < n; i += W) {
    double logits[W], q[W], r[W];
    auto v = n - i < W ? x.at(from + i, n - i) : x.at(from + i);
    store(logits, high_part(v));
    for (size_t j = 0; j < W && i + j < n; j++) {
      if (logits[j] != top) continue;
      V t, rest;
      store(q, exp_below<false>(e, v, t, &rest));
      store(r, rest);
      sum.peak = q[j];
      sum.peak_rest = r[j];
      sum.peak_at = from + i + j;
      return true;
    }
  }
  return true;
}

// Sums a block in which nothing lies above `octave`. Out of line, as such blocks are rare.
template <class T, class Source>
NEVER_INLINE void sum_block_below(const Source& x, size_t from, size_t n, const ExpScale<T>& scale,
                                  const ExpScale<double>& double_scale, double octave, bool wants_others, T* out,
                                  Sum& sum) {
  sum_block<false, false, false>(x, from, n, scale, double_scale, octave, wants_others, out, sum);
}

}  // namespace
