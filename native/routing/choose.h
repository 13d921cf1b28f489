// The k largest choices of a token, larger first, the lower index first among equals.
//
//   1. The k-th largest of sixteen lane maxima is a lower bound of the k-th largest choice.
//   2. All choices from the bound on are candidates. Mostly these are few.
//   3. A candidate's rank is the count of candidates before it: no branch depends on the choices.
//   4. More than 16 of k, or too many candidates, are found by rows/top_items.h.
#pragma once
#include "../rows/top_items.h"

namespace {

constexpr size_t kFewChosen = 16, kMostCandidates = 32;

// Sixteen choices, as floats or doubles.
template <class T> struct Sixteen;
template <> struct Sixteen<float> {
  f32x16 v;
  static ALWAYS Sixteen at(const float* p) { return {load(p)}; }
  static ALWAYS Sixteen of(float x) { return {splat(x)}; }
  ALWAYS void put(float* p) const { store(p, v); }
  ALWAYS uint32_t above(const Sixteen& o) const { return lanes_above(v, o.v); }
  ALWAYS Sixteen larger(const Sixteen& o) const { return {max_skip_nan(v, o.v)}; }
  ALWAYS Sixteen where(uint32_t lanes, const Sixteen& o) const { return {select_bits(v, o.v, lanes)}; }
  ALWAYS Sixteen plus(const Sixteen& o) const { return {add(v, o.v)}; }
  ALWAYS float largest_lane() const { return reduce_max(v); }
  // Adds 1 to each lane of `counts` where `x` is not below the lane.
  ALWAYS void count_not_above(const Sixteen& x, Sixteen& counts) const {
    counts.v = add(counts.v, zero_below(splat(1.f), x.v, v));
  }
};
template <> struct Sixteen<double> {
  f64x8 low, high;
  static ALWAYS Sixteen at(const double* p) { return {load(p), load(p + 8)}; }
  static ALWAYS Sixteen of(double x) { return {splat(x), splat(x)}; }
  ALWAYS void put(double* p) const {
    store(p, low);
    store(p + 8, high);
  }
  ALWAYS uint32_t above(const Sixteen& o) const { return lanes_above(low, o.low) | lanes_above(high, o.high) << 8; }
  ALWAYS Sixteen larger(const Sixteen& o) const { return {max_skip_nan(low, o.low), max_skip_nan(high, o.high)}; }
  ALWAYS Sixteen where(uint32_t lanes, const Sixteen& o) const {
    return {select_bits(low, o.low, lanes & 0xFF), select_bits(high, o.high, lanes >> 8)};
  }
  ALWAYS Sixteen plus(const Sixteen& o) const { return {add(low, o.low), add(high, o.high)}; }
  ALWAYS double largest_lane() const { return reduce_max(max_skip_nan(low, high)); }
  ALWAYS void count_not_above(const Sixteen& x, Sixteen& counts) const {
    counts.low = add(counts.low, zero_below(splat(1.), x.low, low));
    counts.high = add(counts.high, zero_below(splat(1.), x.high, high));
  }
};

// Returns the k-th largest of sixteen numbers, k ≤ 16: the largest that k of them are not below.
template <class T> SIMD_INLINE T kth_of(const Sixteen<T>& v, size_t k) {
  alignas(64) T lanes[16];
  v.put(lanes);
  Sixteen<T> counts[2] = {Sixteen<T>::of(0), Sixteen<T>::of(0)};
  UNROLL
  for (int i = 0; i < 16; i++) v.count_not_above(Sixteen<T>::of(lanes[i]), counts[i & 1]);
  uint32_t reached = counts[0].plus(counts[1]).above(Sixteen<T>::of((T)k - 1));
  return v.where(reached, Sixteen<T>::of(-infinity<T>())).largest_lane();
}

// Writes the positions of set bits to `to`, `from` added. Four are written at a time, so that most words need no loop:
// up to four behind the last are of no bit.
SIMD_INLINE unsigned put_positions(uint64_t bits, uint32_t from, uint32_t* to) {
  constexpr uint64_t kEnd = (uint64_t)1 << 63;
  unsigned count = bit_count((uint32_t)bits) + bit_count((uint32_t)(bits >> 32)), i = 0;
  do {
    UNROLL
    for (unsigned j = 0; j < 4; j++) {
      to[i + j] = from + lowest_bit(bits | kEnd);
      bits &= bits - 1;
    }
  } while ((i += 4) < count);
  return count;
}

// Writes the first k of `count` candidates to `chosen`, in order. kRoom is 16 or 32: candidates behind `count` are any
// that exist.
template <size_t kRoom, class T>
SIMD_INLINE void rank_candidates(const T* x, const uint32_t* found, unsigned count, size_t k, uint32_t* chosen) {
  constexpr uint32_t kAll = 0xFFFF;
  alignas(64) T values[kRoom];
  for (size_t c = 0; c < kRoom; c++) values[c] = x[found[c]];
  Sixteen<T> v[kRoom / 16];
  for (size_t h = 0; h < kRoom / 16; h++) {
    unsigned left = count < 16 * h ? 0 : count - 16 * (unsigned)h;
    v[h] = Sixteen<T>::at(values + 16 * h).where(left < 16 ? ((uint32_t)1 << left) - 1 : kAll,
                                                 Sixteen<T>::of(-infinity<T>()));
    v[h].put(values + 16 * h);
  }
  uint32_t order[kRoom];
  UNROLL
  for (size_t c = 0; c < kRoom; c++) {
    const Sixteen<T> value = Sixteen<T>::of(values[c]);
    uint32_t above = 0, below = 0, earlier = ((uint32_t)1 << c) - 1;
    for (size_t h = 0; h < kRoom / 16; h++) {
      above |= v[h].above(value) << 16 * h;
      below |= value.above(v[h]) << 16 * h;
    }
    order[bit_count(above | (~below & earlier))] = found[c];
  }
  for (size_t j = 0; j < k; j++) chosen[j] = order[j];
}

// Chooses k ≤ 16 of n choices in whole vectors. Returns false, with nothing written, for too many candidates.
template <class T>
SIMD_INLINE bool choose_few(const T* x, size_t n, const Sixteen<T>& lane_tops, size_t k, uint32_t* chosen) {
  uint32_t found[kMostCandidates + 64 + 4];
  for (size_t c = 0; c < kMostCandidates; c++) found[c] = 0;
  unsigned count = 0;
  const Sixteen<T> bound = Sixteen<T>::of(kth_of(lane_tops, k));
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    uint64_t bits = 0;
    UNROLL
    for (int j = 0; j < 4; j++) bits |= (uint64_t)(uint16_t)~bound.above(Sixteen<T>::at(x + i + 16 * j)) << 16 * j;
    count += put_positions(bits, (uint32_t)i, found + count);
    if (count > kMostCandidates) return false;
  }
  for (; i < n; i += 16) {
    count += put_positions((uint16_t)~bound.above(Sixteen<T>::at(x + i)), (uint32_t)i, found + count);
    if (count > kMostCandidates) return false;
  }
  for (size_t c = count; c < count + 4; c++) found[c] = 0;  // positions of no bit
  count <= 16 ? rank_candidates<16>(x, found, count, k, chosen) : rank_candidates<32>(x, found, count, k, chosen);
  return true;
}

// Memory of choose_many.
template <class T> struct ChoiceMemory {
  Buffer<T> group_tops;
  Buffer<Item> items;
  explicit ChoiceMemory(const Run& run) : group_tops(run), items(run) {}
};
// Chooses k of n choices, however many. Writes nothing without memory.
template <class T>
NEVER_INLINE void choose_many(const T* x, size_t n, size_t k, ChoiceMemory<T>& memory, uint32_t* chosen) {
  T* group_tops = memory.group_tops.need(n / kGroup + 1);
  Item* items = memory.items.need(k);
  if (!group_tops || !items) return;
  RowScan<T> scan = scan_row<kGroup, T>(x, n, group_tops);
  find_top_items(x, n, group_tops, scan.top, k, items);
  for (size_t j = 0; j < k; j++) chosen[j] = (uint32_t)items[j].index;
}

}  // namespace
