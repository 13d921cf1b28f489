// The kernels of selection, argmax and top_k, and how their rows are read: halves as floats, a mask and a bias applied.
//
// top_items.h selects; a task of share_rows selects in one row after the other.
#pragma once
#include "../rows/logit_reader.h"
#include "../rows/share_rows.h"
#include "../rows/top_items.h"

namespace {

// The work of argmax.
template <class X> struct Argmax {
  using T = typename LogitReader<X>::Float;
  using Memory = Buffer<T>;
  static constexpr size_t kGroupSize = 4096;
  const Stored<X>* x;
  uint32_t* indices;
  size_t cols;

  void row(const Run&, Memory& memory, size_t i) const {
    const T* logits = LogitReader<X>::read(x + i * cols, cols, memory);
    if (!logits) return;
    RowScan<T> scan = scan_row<kGroupSize, T>(logits, cols, nullptr);
    indices[i] = scan.has_nan ? kNoIndex : (uint32_t)find_index(logits, scan.group * kGroupSize, cols, scan.top);
  }
};

// Returns how many of x[i, end) are not below `bound`; if kIsAbove, how many are above it. end − i ≤ 2^24.
template <bool kIsAbove, class F> NEVER_INLINE size_t count_from(const F* x, size_t i, size_t end, F bound) {
  constexpr size_t W = ExpTraits<F>::kLanes;
  const auto one = splat((F)1), b = splat(bound);
  auto sum = splat((F)0);
  size_t count = 0, begin = i;
  // Not above is: the bound is not below. There is no NaN.
  for (; i + W <= end; i += W)
    sum = add(sum, kIsAbove ? zero_below(one, b, load(x + i)) : zero_below(one, load(x + i), b));
  size_t lanes = (size_t)sum_lanes(sum);
  for (size_t j = i; j < end; j++) count += kIsAbove ? x[j] > bound : x[j] >= bound;
  return count + (kIsAbove ? i - begin - lanes : lanes);
}
// Returns how many logits come before the one at `target` in the order of selection, plus 1. Groups whose top is lower
// are not read.
template <class F> NEVER_INLINE uint32_t rank_of(const F* x, size_t n, const F* group_tops, size_t target) {
  size_t rank = 1;
  for (size_t from = 0; from < n; from += kGroup) {
    if (group_tops[from / kGroup] < x[target]) continue;
    size_t to = n - from < kGroup ? n : from + kGroup;
    size_t middle = target < from ? from : target < to ? target : to;
    rank += count_from<false>(x, from, middle, x[target]);
    rank += count_from<true>(x, middle + (middle == target), to, x[target]);
  }
  return (uint32_t)rank;
}

// The work of top_k.
template <class X> struct TopK {
  using T = typename LogitReader<X>::Float;
  struct Memory : RowMemory {
    Buffer<Item> items;
    explicit Memory(const Run& run) : RowMemory(run), items(run) {}
  };
  const Stored<X>* x;
  uint32_t* indices;
  Stored<X>* values;
  const uint32_t* targets;  // a column of each row whose rank is wanted, or null
  uint32_t* ranks;
  size_t cols, k;
  Extras<Stored<X>> extras;

  void row(const Run&, Memory& memory, size_t i) const {
    const T* logits = LogitReader<X>::read(x + i * cols, cols, memory.logits(T()));
    if (!logits) return;
    bool is_quartered = false;  // quarters have the same order
    extras.any() ? select_row(memory, apply_mask_and_bias<X>(memory, extras, logits, cols, i, is_quartered), i)
                 : select_row(memory, logits, i);
  }
  // Writes the results of a row. Without memory `logits` is null, and nothing is written.
  template <class F> NEVER_INLINE void select_row(Memory& memory, const F* logits, size_t i) const {
    F* group_tops = memory.group_tops(F()).need(cols / kGroup + 1);
    Item* items = memory.items.need(k);
    if (!logits || !group_tops || !items) return;
    RowScan<F> scan = scan_row<kGroup, F>(logits, cols, group_tops);
    if (!scan.has_nan && k > 0) find_top_items(logits, cols, group_tops, scan.top, k, items);
    if (targets && ranks)
      ranks[i] = scan.has_nan || targets[i] >= cols ? kNoIndex : rank_of(logits, cols, group_tops, targets[i]);
    for (size_t j = 0; j < k; j++) {
      indices[i * k + j] = scan.has_nan ? kNoIndex : (uint32_t)items[j].index;
      values[i * k + j] = scan.has_nan ? 0 : x[i * cols + items[j].index];
    }
  }
};

// The kernels.
template <class X, class Y>
void argmax(const Run& run, const Stored<X>* x, uint32_t* indices, size_t rows, size_t cols) {
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, Argmax<X>{x, indices, cols});
}
template <class X, class Y>
void top_k(const Run& run, const Stored<X>* x, uint32_t* indices, Stored<X>* values, const uint32_t* targets,
           uint32_t* ranks, size_t rows, size_t cols, size_t k, const MaskAndBias<Stored<X>>& mask_and_bias) {
  TopK<X> work = {x, indices, values, targets, ranks, cols, k, Extras<Stored<X>>(mask_and_bias)};
  share_rows(for_bytes(run, rows * cols * sizeof *x), rows, cols, work);
}

}  // namespace
