// The largest logit of a row, and the k largest in order.
//
// Both begin with scan_row, which reads the row once and keeps the largest logit of each group of kGroup logits. The
// k-th largest of these group tops is a lower bound of the k-th largest logit. So find_top_items skips most groups.
//
// The order is that of ties in the whole package: larger logits first, the lower index first among equal logits.
#pragma once
#include "../math/formats.h"
#include "buffer.h"
#include "items.h"
#include "scan.h"

namespace {

constexpr size_t kGroup = 256;  // logits of a group

// The findings of one reading of a row.
template <class T> struct RowScan {
  T top;         // the largest logit; −∞ also if no logit is larger
  size_t group;  // the first group that has it
  bool has_nan;
};
// Scans a row in groups of kGroupSize logits. Writes the largest logit of each group to group_tops, if it is not null.
template <size_t kGroupSize, class T> RowScan<T> scan_row(const T* x, size_t n, T* group_tops) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto bottom = splat(-infinity<T>()), high = splat(infinity<T>());
  // Bits of vectors that are not below +∞, and may be NaNs. A sum would also tell, and take half of the time again.
  auto non_finite = splat((T)0), more_non_finite = non_finite;
  RowScan<T> scan = {-infinity<T>(), 0, false};
  for (size_t g = 0; g * kGroupSize < n; g++) {
    size_t i = g * kGroupSize, end = n - i < kGroupSize ? n : i + kGroupSize;
    auto a = bottom, b = bottom, c = bottom, d = bottom;
    for (; i + 4 * W <= end; i += 4 * W) {
      auto v0 = load(x + i), v1 = load(x + i + W), v2 = load(x + i + 2 * W), v3 = load(x + i + 3 * W);
      a = max_skip_nan(a, v0);
      b = max_skip_nan(b, v1);
      c = max_skip_nan(c, v2);
      d = max_skip_nan(d, v3);
      non_finite = or_bits(non_finite, zero_below(v0, v0, high), zero_below(v1, v1, high));
      more_non_finite = or_bits(more_non_finite, zero_below(v2, v2, high), zero_below(v3, v3, high));
    }
    for (; i < end; i += W) {
      auto v = end - i < W ? load_n(x + i, end - i, x[i]) : load(x + i);
      a = max_skip_nan(a, v);
      non_finite = or_bits(non_finite, zero_below(v, v, high), non_finite);
    }
    T top = reduce_max(max_skip_nan(max_skip_nan(a, b), max_skip_nan(c, d)));
    if (group_tops) group_tops[g] = top;
    if (top > scan.top) {
      scan.top = top;
      scan.group = g;
    }
  }
  if (any_bits(or_bits(non_finite, more_non_finite, more_non_finite), ~(typename ExpTraits<T>::Bits)0))
    scan.has_nan = has_nan<T>(Plain<T>{x}, 0, n);
  return scan;
}

// Returns the first index in [from, n) of a value; `from` if there is none.
template <class T> size_t find_index(const T* x, size_t from, size_t n, T value) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto wanted = splat(value);
  for (size_t i = from; i < n; i += W) {
    size_t left = n - i < W ? n - i : W;
    uint32_t below = lanes_above(wanted, left < W ? load_n(x + i, left, x[i]) : load(x + i));
    uint32_t lanes = ~below & ((1u << left) - 1);
    if (lanes) return i + lowest_bit(lanes);
  }
  return from;
}

// Calls visit(i) for each x[i] of [from, to) that is not below `bound`, in order; if is_strict, for each that is above.
// visit may raise the bound, or make it strict.
template <class T, class Visit>
SIMD_INLINE void visit_from_bound(const T* x, size_t from, size_t to, T& bound, bool& is_strict, Visit visit) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  for (size_t i = from; i < to; i += W) {
    size_t left = to - i < W ? to - i : W;
    auto v = left < W ? load_n(x + i, left, x[i]) : load(x + i), b = splat(bound);
    uint32_t lanes = (is_strict ? lanes_above(v, b) : ~lanes_above(b, v)) & ((1u << left) - 1);
    for (; lanes; lanes &= lanes - 1) visit(i + lowest_bit(lanes));
  }
}

SIMD_INLINE double sum_lanes(f32x16 v) { return reduce_add(add(low_f64(v), high_f64(v))); }
SIMD_INLINE double sum_lanes(f64x8 v) { return reduce_add(v); }
// Returns a bound that at least k group tops reach, and few more, by bisection below `high`; −∞ if it finds none.
template <class T> T find_bound(const T* group_tops, size_t groups, size_t k, T high) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  const auto finite = splat(-largest<T>()), above = splat(high);
  auto tops_at = [&](size_t i) ALWAYS_LAMBDA {
    return groups - i < W ? load_n(group_tops + i, groups - i, -infinity<T>()) : load(group_tops + i);
  };
  auto depth = splat(-infinity<T>());
  if (high - high != 0) return -infinity<T>();
  for (size_t i = 0; i < groups; i += W)
    depth = max_skip_nan(depth, sub(above, select_bits(above, tops_at(i), lanes_above(finite, tops_at(i)))));
  T low = high - reduce_max(depth), bound = -infinity<T>(), middle = low;
  for (int i = 0; i < 40; i++, middle = low / 2 + high / 2) {
    auto count = splat((T)0);
    for (size_t j = 0; j < groups; j += W) count = add(count, zero_below(splat((T)1), tops_at(j), splat(middle)));
    double reached = sum_lanes(count);
    if (reached < (double)k && i == 0) break;
    reached < (double)k ? high = middle : bound = low = middle;
    if (reached >= (double)k && reached <= (double)(k + k / 8 + 4)) break;
  }
  return bound;
}

constexpr size_t kFewItems = 128;
// Writes the first `limit` of n ≤ kFewItems items to out, by their keys; equal keys keep their order. An item's rank is
// the count of keys before it: no branch depends on the keys.
static void rank_items(const Item* items, size_t n, Item* out, size_t limit) {
  double keys[kFewItems + 8];
  bool is_filled[2 * kFewItems] = {};
  for (size_t i = 0; i < n; i++) keys[i] = items[i].key;
  for (size_t i = n; i % 8; i++) keys[i] = -infinity<double>();
  size_t padded = (n + 7) / 8 * 8;
  for (size_t i = 0; i < n; i++) {
    f64x8 not_before = splat(0.), key = splat(keys[i]);
    for (size_t j = 0; j < padded; j += 8) not_before = add(not_before, zero_below(splat(1.), key, load(keys + j)));
    size_t rank = padded - (size_t)reduce_add(not_before);
    while (is_filled[rank]) rank++;
    is_filled[rank] = true;
    if (rank < limit) out[rank] = items[i];
  }
}

// Writes the first k ≤ n logits to items, in order. The row has no NaN; `top` is its largest logit.
template <class T> void find_top_items(const T* x, size_t n, const T* group_tops, T top, size_t k, Item* items) {
  size_t groups = (n + kGroup - 1) / kGroup;
  T bound = k <= groups ? find_bound(group_tops, groups, k, top) : -infinity<T>();
  // A few items are all collected, then ranked. More of them go to a heap of the best so far, which raises the bound.
  Item found[kFewItems];
  size_t count = 0;
  bool is_strict = false, are_few = k <= kFewItems / 2;
  BestItems best = {items, k, 0};
  for (size_t g = 0; g < groups; g++) {
    if (is_strict ? !(group_tops[g] > bound) : group_tops[g] < bound) continue;
    size_t from = g * kGroup, to = n - from < kGroup ? n : from + kGroup;
    visit_from_bound(x, from, to, bound, is_strict, [&](size_t i) ALWAYS_LAMBDA {
      Item item = {(double)x[i], (double)x[i], 0, i};
      if (are_few && count < kFewItems) {
        found[count++] = item;
        return;
      }
      for (size_t j = 0; are_few && j < kFewItems; j++) best.offer(found[j]);
      are_few = false;
      best.offer(item);
      if (best.is_full()) {
        bound = (T)items[0].key;
        is_strict = true;  // a later item loses a tie
      }
    });
  }
  are_few ? rank_items(found, count, items, k) : sort_items(items, k);
}

}  // namespace
