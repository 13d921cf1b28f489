// Nucleus (top-p): the smallest set of the most probable tokens that has the probability p, found without sorting.
//
// A sample of the row brackets the cutoff between two logits. One reading of the row sums the weights above the bracket
// and collects the candidates, the logits inside. nucleus_candidates.h finds the cutoff among them. If the cutoff is
// outside after all, the bracket moves up or down: this is slower, and the result is the same.
#pragma once
#include "nucleus_candidates.h"

namespace {

// Sets [low, high) to hold the cutoff as far as a sample can tell: within four standard deviations. If few logits lie
// above, they are included. Group tops are known and count on their own: a few tokens may outweigh all others.
template <class T> inline void Nucleus<T>::bracket_cutoff(T& low, T& high) const {
  const auto top = splat((T)weights.top);
  auto deepest = splat((T)0);
  size_t groups = (n + kGroup - 1) / kGroup, sampled = 0;
  for (size_t i = 0; i + W <= n; i += stride, sampled += W) deepest = max_skip_nan(deepest, sub(top, load(x + i)));
  double range = (double)reduce_max(deepest), most = 46 * 8 / weights.eighths, each = (double)n / (double)sampled;
  if (range > most) range = most;
  if (!(range > 0 && range < 0x1p1000)) return;
  double factor = (kBuckets - 1) / range;
  const auto buckets_per_logit = splat((T)factor), last_bucket = splat((T)(1 - (double)kBuckets));
  const auto nowhere = splat(-(T)kBuckets), shifter = splat(kShifter);
  float mass[kBuckets + 1] = {}, w[kBuckets];
  uint32_t counts[kBuckets + 1] = {};
  T buckets[W];
  auto find_buckets = [&](auto v, auto least) ALWAYS_LAMBDA {
    store(buckets, sub(shifter, select_bits(max_keep_nan(last_bucket, mul(sub(v, top), buckets_per_logit)), nowhere,
                                            lanes_above(least, v))));
  };
  for (size_t g = 0; g < groups; g += W) {
    auto v = chunks.load_vector(group_tops, groups, g);
    f64x8 z[kWide];
    double q[W];
    widen(max_keep_nan(splat(chunks.floor), v), z);
    UNROLL for (size_t p = 0; p < kWide; p++) store(q + 8 * p, weights.approximate(z[p]));
    find_buckets(v, splat(infinity<T>()));
    for (size_t j = 0; j < W; j++) mass[bits_of(buckets[j])] += (float)q[j];
  }
  for (size_t i = 0; i + W <= n; i += stride) {
    find_buckets(load(x + i), splat(group_tops[i / kGroup]));
    for (size_t j = 0; j < W; j++) counts[bits_of(buckets[j])]++;
  }
  double all = 0, squares = 0, sum = 0, sum_of_squares = 0, above = 0;
  double fall = weight_at((T)(weights.top - 1 / factor)), middle = weight_at((T)(weights.top - .5 / factor));
  for (size_t b = 0; b < kBuckets; b++, middle *= fall) {
    double one = each * middle;
    w[b] = (float)one;
    mass[b] += (float)(counts[b] * one);
    all += mass[b];
    squares += counts[b] * one * one;
  }
  for (size_t b = 0; b < kBuckets; b++) {
    double excess = sum - p * all;
    double variance = (1 - p) * (1 - p) * sum_of_squares + p * p * (squares - sum_of_squares);
    double edge = weights.top - (double)b / factor;
    bool is_sure = excess * excess > 16 * variance;
    if (is_sure && excess < 0 && above >= kFewAbove) high = (T)edge;
    // The cutoff also lies low if the sample has too few of the tokens that have weight.
    if (excess > 0 && (is_sure || (all - sum) * 8 < (1 - p) * all)) {
      low = (T)edge;
      return;
    }
    sum += mass[b];
    sum_of_squares += (double)counts[b] * w[b] * w[b];
    above += counts[b] * each;
  }
}
// If one logit makes up most of the sampled bracket, narrows the bracket to it: the cutoff is probably one of many
// equal logits.
template <class T> void Nucleus<T>::find_majority(T& low, T& high) const {
  const auto lowest = splat(low), highest = splat(high);
  T most = 0;
  size_t votes = 0, seen = 0, equal = 0;
  auto for_each = [&](auto use) ALWAYS_LAMBDA {
    for (size_t i = 0; i + W <= n; i += stride)
      for (uint32_t lanes = lanes_above(highest, load(x + i)) & ~lanes_above(lowest, load(x + i)); lanes;
           lanes &= lanes - 1)
        use(x[i + lowest_bit(lanes)]);
  };
  // The majority vote of Boyer and Moore.
  for_each([&](T z) ALWAYS_LAMBDA {
    seen++;
    votes += z == most ? 1 : votes ? (size_t)-1 : (most = z, 1);
  });
  if (!votes || seen < 16) return;
  for_each([&](T z) ALWAYS_LAMBDA { equal += z == most; });
  if (2 * equal > seen) {
    low = most;
    high = next_number(most);
  }
}

// Moves the bracket to the logits above or below it, and widens it to `reach`.
template <class T> inline void Nucleus<T>::move_bracket(T& low, T& high, bool above, double reach) {
  double lower = (double)low - reach, higher = (double)high + reach;
  if (above) {
    low = high;
    high = higher < (double)largest<T>() ? (T)higher : infinity<T>();
  } else {
    high = low;
    low = lower > -(double)largest<T>() ? (T)lower : -largest<T>();
  }
}

// Finds the cutoff and the sums of the kept weights, unless the call has stopped. Returns false if approximate sums do
// not decide.
template <class T> inline bool Nucleus<T>::find_cutoff(bool is_exact) {
  T low = -largest<T>(), high = infinity<T>();
  if (n >= 4 * kSample) bracket_cutoff(low, high);
  double reach =
      high < infinity<T>() && low > -largest<T>() && high > low ? (double)high - (double)low : 16 / weights.eighths;
  if (n >= 4 * kSample) find_majority(low, high);
  uint32_t* chunk_starts = memory.chunk_starts.need(last_chunk() + 2);
  if (!chunk_starts || !memory.candidates.need(n / 16 + kChunk + W)) return true;
  for (;; reach *= 16) {
    uint64_t all = 0, head = 0;
    bool are_ties = high == next_number(low);
    memory.candidates.size = chunk_starts[0] = 0;
    for (size_t chunk = 0; chunk <= last_chunk(); chunk++) {
      if (chunks.run.stopped()) return true;
      T* candidates = memory.candidates.need(memory.candidates.size + kChunk + W);
      if (!candidates) return true;
      T *begin = candidates + memory.candidates.size, *end = begin;
      head += chunks.sums[chunk] = is_exact ? chunks.template sum<true>(chunk * kChunk, low, high, all, end)
                                            : chunks.template sum<false>(chunk * kChunk, low, high, all, end);
      chunk_starts[chunk + 1] = chunk_starts[chunk] + (uint32_t)(end - begin);
      if (!are_ties) memory.candidates.size = chunk_starts[chunk + 1];
    }
    double target = p * (double)all, missing = target - (double)head;
    double slack = is_exact ? 0 : chunks.slack_of(chunks.kApproximateError, p, (double)head, (double)all);
    bool is_above = high < infinity<T>() && (is_exact ? (double)head >= target : -missing > slack);
    if (!is_exact && !is_above && missing <= slack) return false;
    if (!is_exact) {
      target = missing;
      head = 0;
    }
    bool is_found = !is_above && (are_ties ? find_tie(low, target, head) : search_candidates(low, high, target, head));
    if (chunks.run.stopped()) return true;
    if (is_found) {
      if (!is_exact && !(target - sum_before > slack && sum_through - target > slack)) return false;
      chunks.cutoff.index = index_of_last_kept(low, high);
      add_kept(are_ties);
      chunks.add_up();
      if (!is_exact) chunks.slack = chunks.slack_of(chunks.kApproximateError, .5, 0, (double)chunks.total);
      return true;
    }
    if (!is_exact && !is_above && !(low > -largest<T>())) return false;
    move_bracket(low, high, is_above, reach);
  }
}

}  // namespace
