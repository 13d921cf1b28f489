// The choices of a token whose experts form groups: the groups worth most are kept, and their experts compete.
//
//   1. A group's worth is its largest choice or, where a bias was added, the sum of its two largest.
//   2. The groups worth most are kept, the lower index first among equals.
//   3. Their choices are copied without gaps, in the order of experts. So no choice of a dropped group can win, not
//      even where a kept one is −∞.
#pragma once
#include "choose.h"
#include "token_row.h"

namespace {

// Groups of `size` experts each.
struct Groups {
  size_t count, kept, size;
  ALWAYS size_t kept_experts() const { return kept * size; }
};

// Returns the largest of n choices, or the sum of the two largest.
template <class T> SIMD_INLINE T worth_of(const T* x, size_t n, bool sums_two) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto bottom = splat(-infinity<T>());
  auto first = bottom, second = bottom;
  for (size_t i = 0; i < n; i += W) {
    auto v = n - i < W ? load_n(x + i, n - i, -infinity<T>()) : load(x + i);
    uint32_t above = lanes_above(v, first);
    second = select_bits(first, max_skip_nan(second, v), above);
    first = select_bits(v, first, above);
  }
  T top = reduce_max(first);
  if (!sums_two || n == 1) return top;
  // The runner-up: the largest of the lanes below the top and of the second ones, or the top again.
  uint32_t below = lanes_above(splat(top), first);
  T next = reduce_max(max_skip_nan(second, select_bits(first, bottom, below)));
  next = W - bit_count(below) > 1 ? top : next;
  return top + next;
}

// Memory of keep_groups.
struct GroupMemory {
  Buffer<Item> worths, best;
  Buffer<uint32_t> kept;  // the groups that are kept, ascending
  explicit GroupMemory(const Run& run) : worths(run), best(run), kept(run) {}
};
// Finds the groups worth most. Returns false without memory.
template <class T> NEVER_INLINE bool keep_groups(const T* x, const Groups& groups, bool sums_two, GroupMemory& memory) {
  Item* worths = memory.worths.need(groups.count);
  Item* best = memory.best.need(groups.count);
  uint32_t* kept = memory.kept.need(groups.kept);
  if (!worths || !best || !kept) return false;
  for (size_t g = 0; g < groups.count; g++) {
    double worth = (double)worth_of(x + g * groups.size, groups.size, sums_two);
    worths[g] = {worth, worth, 0, g};
  }
  if (groups.count <= kFewItems) rank_items(worths, groups.count, best, groups.kept);
  else {
    BestItems items = {best, groups.kept, 0};
    for (size_t g = 0; g < groups.count; g++) items.offer(worths[g]);
  }
  // A mark for each kept group puts them in ascending order.
  for (size_t g = 0; g < groups.count; g++) worths[g].weight = 0;
  for (size_t j = 0; j < groups.kept; j++) worths[best[j].index].weight = 1;
  size_t count = 0;
  for (size_t g = 0; g < groups.count; g++)
    if (worths[g].weight != 0) kept[count++] = (uint32_t)g;
  return true;
}
// Copies the choices of the kept groups to `to`, which ends in −∞ up to a whole vector.
template <class T> SIMD_INLINE void copy_kept(const T* x, const Groups& groups, const uint32_t* kept, T* to) {
  size_t bytes = groups.size * sizeof *x;
  for (size_t j = 0; j < groups.kept; j++) COPY(to + j * groups.size, x + kept[j] * groups.size, bytes);
  size_t n = groups.kept_experts();
  for (size_t i = n; i < whole_vectors(n); i++) to[i] = -infinity<T>();
}

}  // namespace
