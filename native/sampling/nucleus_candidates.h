// Nucleus (top-p): the search for the cutoff among candidates, the logits between two bounds.
//
// search_candidates makes a histogram of the candidates' weights over their logits, takes the bucket that holds the
// cutoff, and repeats this with the logits of that bucket. A few that remain are sorted.
#pragma once
#include "../math/formats.h"
#include "../rows/buffer.h"
#include "../rows/top_items.h"
#include "chunk_sums.h"

namespace {

template <class T> struct NucleusMemory {
  Buffer<T> candidates, bucket_logits;     // logits in the order of the row; the candidates in one bucket
  Buffer<double> weights;                  // of the candidates: integers, as bits
  Buffer<uint32_t> indices, chunk_starts;  // the candidate of each bucket logit; the first candidate of each chunk
  Buffer<uint16_t> buckets;                // the bucket of each logit
  Buffer<Item> sorted;
  explicit NucleusMemory(const Run& run)
      : candidates(run), bucket_logits(run), weights(run), indices(run), chunk_starts(run), buckets(run),
        sorted(run) {}
};

// The search for the cutoff of one row. find_cutoff (nucleus.h) is its entry.
template <class T> struct Nucleus {
  static constexpr size_t W = ExpTraits<T>::kLanes, kWide = W / 8;
  static constexpr size_t kSample = 4096, kBuckets = 512, kFineBuckets = 256, kFewAbove = 1000;
  ChunkSums<T>& chunks;
  const T* group_tops;
  double p;
  NucleusMemory<T>& memory;
  const TokenWeights& weights = chunks.weights;
  const T* x = chunks.x;
  size_t n = chunks.n, stride = n / kSample * W;
  size_t last_kept = 0;                    // the index, among the candidates, of the last one that is kept
  double sum_before = 0, sum_through = 0;  // the sums without it and with it

  Nucleus(ChunkSums<T>& chunks, const T* group_tops, double p, NucleusMemory<T>& memory)
      : chunks(chunks), group_tops(group_tops), p(p), memory(memory) {}

  // Defined in nucleus.h.
  void bracket_cutoff(T& low, T& high) const;

  // A number from 0 to 1,023 is rounded when it is added to kShifter. bits_of returns the rounded number.
  static constexpr T kShifter = sizeof(T) == 4 ? (T)0x1p23 : (T)0x1p52;
  static ALWAYS size_t bits_of(T shifted) {
    uint16_t low;
    COPY(&low, &shifted, 2);
    return low & 1023;
  }
  // Returns a logit's weight before rounding.
  double weight_at(T z) const {
    double w[8];
    store(w, weights.exact(splat((double)z)));
    return w[0];
  }
  SELDOM void find_majority(T& low, T& high) const;  // defined in nucleus.h

  // Finds the first of many equal logits z with which a sum that begins with `sum` reaches the target.
  // Returns false if none does.
  SELDOM bool find_tie(T z, double target, uint64_t sum) {
    uint64_t each = weights.to_integer(weights.round(weight_at(z))), count = memory.chunk_starts.data[last_chunk() + 1];
    double ties = each ? (target - (double)sum) / (double)each : infinity<double>();
    if (!(ties <= (double)count)) return false;
    uint64_t k = (uint64_t)ties;  // right but for rounding
    while (k > 0 && (double)(sum + k * each) >= target) k--;
    while ((double)(sum + k * each) < target) k++;
    if (k > count) return false;
    set_cutoff((double)z, k - 1, (double)(sum + (k - 1) * each), (double)(sum + k * each));
    return true;
  }

  // Returns the weights of the candidates, integers as bits; null without memory.
  ALWAYS const double* weigh_candidates() {
    size_t count = memory.candidates.size;
    double* w = memory.weights.need(count + W);
    if (!w) return nullptr;
    for (size_t i = 0; i < count; i += W) {
      f64x8 wide[kWide];
      widen(chunks.load_vector(memory.candidates.data, count, i), wide);
      UNROLL for (size_t v = 0; v < kWide; v++) store(w + i + 8 * v, weights.to_integers(weights.exact(wide[v])));
    }
    return w;
  }
  // Finds the first candidate, in the order of selection, with which a sum that begins with `sum` reaches the target.
  // Returns false if none does, or without memory. A logit below `deepest` has no weight, but may be the last that a
  // probability of all but 1 takes.
  bool search_candidates(T low, T high, double target, uint64_t sum) {
    double depth = 64 * 8 / weights.eighths, deepest = weights.top - depth;
    T top = (double)high < weights.top ? high : (T)weights.top, bottom = deepest > (double)low ? (T)deepest : low;
    size_t count = memory.candidates.size;
    const T* z = memory.candidates.data;
    const uint32_t* indices = nullptr;
    if (!(bottom < top)) {  // the temperature is so low that the depth is lost in the logits: take their range
      bottom = infinity<T>();
      top = -bottom;
      for (size_t i = 0; i < count; i++) {
        bottom = z[i] < bottom ? z[i] : bottom;
        top = z[i] > top ? z[i] : top;
      }
    }
    const double* w = weigh_candidates();
    if (!w) return false;
    for (bool has_split = true;;) {
      T range = top - bottom, factor = (kFineBuckets - 1) / range;
      if (count <= 32 || top == bottom || !has_split || !(range < largest<T>() && factor < largest<T>()))
        return search_sorted(z, indices, count, top == bottom, target, sum);
      uint64_t sums[kFineBuckets] = {};
      uint16_t* buckets = memory.buckets.need(count);
      if (!buckets) return false;
      for (size_t i = 0; i < count; i += W) {
        auto v = chunks.load_vector(z, count, i);
        T bucket[W];
        store(bucket, sub(splat(kShifter), max_keep_nan(splat((T)(1 - (double)kFineBuckets)),
                                                        mul(sub(v, splat(top)), splat(factor)))));
        for (size_t j = 0, end = count - i < W ? count - i : W; j < end; j++) {
          size_t b = bits_of(bucket[j]);
          sums[b] += integer_of(w[indices ? indices[i + j] : i + j]);
          buckets[i + j] = (uint16_t)b;
        }
      }
      size_t b = 0, size = 0;
      while (b < kFineBuckets && (double)(sum + sums[b]) < target) sum += sums[b++];
      if (b == kFineBuckets) return false;
      T* left = memory.bucket_logits.need(count);  // from the second round on, z itself: it shrinks in place
      uint32_t* left_indices = memory.indices.need(count);
      if (!left || !left_indices) return false;
      T least = infinity<T>(), most = -least;
      for (size_t i = 0; i < count; i++) {
        if (buckets[i] != b) continue;
        least = z[i] < least ? z[i] : least;
        most = z[i] > most ? z[i] : most;
        left_indices[size] = indices ? indices[i] : (uint32_t)i;
        left[size++] = z[i];
      }
      has_split = size < count || least > bottom || most < top;
      z = left;
      indices = left_indices;
      count = size;
      top = most;
      bottom = least;
    }
  }
  // Returns the integer that a double holds as bits.
  static ALWAYS uint64_t integer_of(double bits) {
    uint64_t integer;
    COPY(&integer, &bits, 8);
    return integer;
  }
  // Does what search_candidates does, for a few logits or for equal ones: in sorted order.
  SELDOM bool search_sorted(const T* z, const uint32_t* indices, size_t count, bool are_equal, double target,
                            uint64_t sum) {
    size_t different = are_equal && count ? 1 : count;
    Item* items = memory.sorted.need(different);
    if (!items) return false;
    for (size_t i = 0; i < different; i++) items[i] = {(double)z[i], (double)z[i], 0, indices ? indices[i] : i};
    sort_items(items, different);
    for (size_t i = 0; i < count; i++) {
      const Item& item = items[are_equal ? 0 : i];
      double before = (double)sum;
      sum += integer_of(memory.weights.data[item.index]);
      if ((double)sum >= target) {
        set_cutoff(item.z, !are_equal ? item.index : indices ? indices[i] : i, before, (double)sum);
        return true;
      }
    }
    return false;
  }
  void set_cutoff(double z, size_t candidate, double without, double with) {
    chunks.cutoff.z = z;
    last_kept = candidate;
    sum_before = without;
    sum_through = with;
  }

  size_t last_chunk() const { return (n - 1) / kChunk; }
  // Returns the index in the row of the candidate last_kept.
  SELDOM size_t index_of_last_kept(T low, T high) const {
    size_t chunk = 0;
    while (memory.chunk_starts.data[chunk + 1] <= last_kept) chunk++;
    size_t i = chunk * kChunk, skipped = last_kept - memory.chunk_starts.data[chunk];
    for (;; i++)
      if (x[i] >= low && x[i] < high && skipped-- == 0) return i;
  }
  // Adds the kept candidates to the sums of their chunks. Of equal candidates the first are kept.
  void add_kept(bool are_ties) {
    uint64_t each = weights.to_integer(weights.round(weight_at((T)chunks.cutoff.z)));
    for (size_t chunk = 0; chunk <= last_chunk(); chunk++) {
      size_t from = memory.chunk_starts.data[chunk], to = memory.chunk_starts.data[chunk + 1];
      size_t end = last_kept + 1 < from ? from : last_kept + 1 < to ? last_kept + 1 : to;
      chunks.sums[chunk] +=
          are_ties ? (end - from) * each
                   : sum_from((T)chunks.cutoff.z, from, end) + sum_from(next_number((T)chunks.cutoff.z), end, to);
    }
  }
  // Returns the sum of the candidates [i, end) that are not below `low`.
  uint64_t sum_from(T low, size_t i, size_t end) const {
    f64x8 sum = splat(0.), z[kWide];
    for (; i < end; i += W) {
      widen(chunks.load_vector(memory.candidates.data, end, i), z);
      UNROLL for (size_t v = 0; v < kWide; v++)
        sum = add_integers(sum, zero_below(load(memory.weights.data + i + 8 * v), z[v], splat((double)low)));
    }
    return sum_integers(sum);
  }

  // Defined in nucleus.h.
  static void move_bracket(T& low, T& high, bool above, double reach);
  bool find_cutoff(bool is_exact);
};

}  // namespace
