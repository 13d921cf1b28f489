// The kept part of a row, where that may be most of the row: every token down to a cutoff, with a sum for each chunk.
//
// Sums are exact, or approximate in half the time: fused steps, added as doubles. `slack` bounds the error of
// approximate sums. A decision that lies within the slack is made again with exact sums.
#pragma once
#include "../rows/run.h"
#include "rough_sum.h"

namespace {

constexpr size_t kChunk = 1024;  // logits of a chunk

// The last logit that is kept, in the order of selection.
struct Cutoff {
  double z;
  size_t index;
  ALWAYS bool keeps(double other, size_t at) const { return other > z || (other == z && at <= index); }
};

// Returns the number after a finite one that is not the largest. 0 and −0 are the same.
SIMD_INLINE float next_number(float x) {
  uint32_t u;
  x += 0;  // −0 becomes 0
  COPY(&u, &x, 4);
  u = x < 0 ? u - 1 : u + 1;
  COPY(&x, &u, 4);
  return x;
}
SIMD_INLINE double next_number(double x) {
  uint64_t u;
  x += 0;
  COPY(&u, &x, 8);
  u = x < 0 ? u - 1 : u + 1;
  COPY(&x, &u, 8);
  return x;
}
// Returns the least number of the second argument's type that is not below a double.
SIMD_INLINE float round_up(double least, float) {
  return (double)(float)least >= least ? (float)least : next_number((float)least);
}
SIMD_INLINE double round_up(double least, double) { return least; }

// A row as chunks: the sum of each, and the cutoff.
template <class T> struct ChunkSums {
  static constexpr size_t W = ExpTraits<T>::kLanes, kWide = W / 8;
  const TokenWeights& weights;
  const Run& run;
  const T* x;
  size_t n;
  uint64_t* sums = nullptr;  // of the kept weights in each chunk, as integers
  T floor = 0;               // approximate sums count a lower logit as this one
  Cutoff cutoff = {-infinity<double>(), n};
  uint64_t total = 0;
  double slack = 0;  // the error of a sum minus a share of the total that is about as large; 0: sums are exact

  ChunkSums(const TokenWeights& weights, const Run& run, const T* x, size_t n)
      : weights(weights), run(run), x(x), n(n) {}
  // Sets the memory of the sums, an integer for each chunk, and the floor.
  void set_memory(uint64_t* memory) {
    double deepest = weights.top - 512 / weights.eighths;
    sums = memory;
    floor = deepest > -(double)largest<T>() ? (T)deepest : -largest<T>();
  }
  // Whether the bound of approximate sums holds. It does not if the step between two numbers of the type loses weights
  // of 2^-64, or if the temperature is so high that the lowest number has weight: −∞ would have the same weight.
  bool is_approximable() const {
    double depth = (weights.top - (double)floor) * weights.eighths;
    return depth < 520 && depth > 500;
  }
  // Returns the error bound of head − p · all. A term of the head counts 1 − p, any other term p. A weight has the
  // relative error `error`, and rounding it adds one half. Sums in doubles, of so few terms, add less.
  double slack_of(double error, double p, double head, double all) const {
    return error * ((1 - p) * head + p * (all - head)) + all * 0x1p-44 + (double)n;
  }
  static constexpr double kApproximateError = 0x1p-32;

  size_t chunk_size(size_t from) const { return n - from < kChunk ? n - from : kChunk; }
  static ALWAYS auto load_vector(const T* from, size_t n, size_t i) {
    return n - i < W ? load_n(from + i, n - i, -infinity<T>()) : load(from + i);
  }

  // Returns the sum of a chunk's weights whose logits are not below `high`. Adds the sum of the whole chunk to `all`.
  // Appends the logits in [low, high) to the candidates.
  template <bool kExact> NEVER_INLINE uint64_t sum(size_t from, T low, T high, uint64_t& all, T*& candidates) const {
    const TokenWeights w = weights;
    const f64x8 edge = splat((double)high);
    const auto lowest = splat(low), highest = splat(high), bottom = splat(floor);
    f64x8 whole[kWide], head[kWide];
    UNROLL for (size_t p = 0; p < kWide; p++) whole[p] = head[p] = splat(0.);
    T* to = candidates;
    auto add_weights = [&](auto v) ALWAYS_LAMBDA {
      f64x8 z[kWide];
      widen(kExact ? v : max_keep_nan(bottom, v), z);
      UNROLL for (size_t p = 0; p < kWide; p++) {
        f64x8 q = kExact ? w.to_integers(w.exact(z[p])) : w.approximate(z[p]);
        if (kExact) {
          whole[p] = add_integers(whole[p], q);
          head[p] = add_integers(head[p], zero_below(q, z[p], edge));
        } else {
          whole[p] = add(whole[p], q);
          head[p] = add_from(head[p], q, z[p], edge);
        }
      }
    };
    auto append = [&](const T* at, auto v) ALWAYS_LAMBDA {
      to += pack(to, at, v, lanes_above(highest, v) & ~lanes_above(lowest, v));
    };
    const T* x = this->x + from;
    size_t i = 0, end = chunk_size(from);
    // Four vectors are read before candidates are written: the compiler must assume that their memory overlaps.
    for (; !kExact && kRegisters < 4 && i + 4 * W <= end; i += 4 * W) {
      auto a = load(x + i), b = load(x + i + W), c = load(x + i + 2 * W), d = load(x + i + 3 * W);
      add_weights(a);
      add_weights(b);
      add_weights(c);
      add_weights(d);
      append(x + i, a);
      append(x + i + W, b);
      append(x + i + 2 * W, c);
      append(x + i + 3 * W, d);
    }
    for (; i < end; i += W) {
      add_weights(load_vector(x, end, i));
      append(x + i, load_vector(x, end, i));
    }
    candidates = to;
    all += to_integer<kExact>(whole);
    return to_integer<kExact>(head);
  }
  // Returns the sum of the lanes as an integer.
  template <bool kExact> ALWAYS uint64_t to_integer(const f64x8* sums) const {
    if (kExact) return sum_integers(kWide == 2 ? add_integers(sums[0], sums[kWide - 1]) : sums[0]);
    return weights.to_integer(reduce_add(kWide == 2 ? add(sums[0], sums[kWide - 1]) : sums[0]));
  }
  // Writes a chunk's weights, before rounding, to w. Returns the exact sum of the weights that are kept.
  NEVER_INLINE uint64_t weigh(size_t from, double* w) const {
    size_t end = chunk_size(from);
    f64x8 sum = splat(0.), edge = splat(cutoff.z);
    for (size_t i = 0; i < end; i += W) {
      f64x8 z[kWide];
      widen(load_vector(x + from, end, i), z);
      UNROLL for (size_t p = 0; p < kWide; p++) {
        f64x8 q = weights.exact(z[p]);
        store(w + i + 8 * p, q);
        sum = add_integers(sum, zero_below(weights.to_integers(q), z[p], edge));
      }
    }
    uint64_t kept = sum_integers(sum);
    if (from + end > cutoff.index + 1)  // some logits equal to the cutoff may come after it
      for (size_t i = from > cutoff.index ? 0 : cutoff.index + 1 - from; i < end; i++)
        if ((double)x[from + i] == cutoff.z) kept -= weights.to_integer(weights.round(w[i]));
    return kept;
  }
  // Makes the sums of the kept weights exact.
  NEVER_INLINE void sum_exactly() {
    double w[kChunk];
    for (size_t from = 0; from < n && !run.stopped(); from += kChunk) sums[from / kChunk] = weigh(from, w);
    add_up();
    slack = 0;
  }
  // Makes the sums for a draw as quickly as it can: rough ones if they are usable, else approximate or exact ones.
  void sum_quickly(double temperature) {
    T edge = cutoff.z > -infinity<double>() ? round_up(cutoff.z, T()) : -largest<T>(), none[W], *candidates = none;
    uint64_t all = 0;
    bool is_rough = sizeof(T) == 4 && RoughSum::is_usable(weights, temperature, n);
    if (!is_rough && !is_approximable()) return sum_exactly();
    if constexpr (sizeof(T) == 4) {
      const RoughSum rough(weights, temperature);
      for (size_t from = 0; is_rough && from < n && !run.stopped(); from += kChunk)
        sums[from / kChunk] = rough.sum(x + from, chunk_size(from), edge);
    }
    for (size_t from = 0; !is_rough && from < n && !run.stopped(); from += kChunk)
      sums[from / kChunk] = sum<false>(from, edge, edge, all, candidates);
    add_up();
    slack = slack_of(is_rough ? RoughSum::kError : kApproximateError, .5, 0, (double)total);
  }
  void add_up() {
    total = 0;
    for (size_t chunk = 0; chunk * kChunk < n; chunk++) total += sums[chunk];
  }

  // Returns the first token, by index, with which the sum exceeds u · total; kNoIndex if the call has stopped.
  NEVER_INLINE uint32_t draw(double u) {
    for (double w[kChunk];;) {
      if (run.stopped()) return kNoIndex;
      double target = u * (double)total;
      uint64_t sum = 0, each = 0;
      size_t chunk = 0, last = (n - 1) / kChunk;
      while (chunk < last && (double)(sum + sums[chunk]) <= target) sum += sums[chunk++];
      size_t from = chunk * kChunk, end = chunk_size(from), i = 0;
      weigh(from, w);
      for (; i < end && (double)sum <= target; i++) {
        each = weights.to_integer(weights.round(w[i]));
        sum += each = cutoff.keeps((double)x[from + i], from + i) ? each : 0;
      }
      if (slack == 0 || ((double)sum - target > slack && target - (double)(sum - each) > slack))
        return (uint32_t)(from + i - 1);
      sum_exactly();
    }
  }
};

}  // namespace
