// One reading of a row: its maximum, whether it has a NaN, whether its mask leaves nothing.
#pragma once
#include "logits.h"

namespace {

template <class T, class Source> NEVER_INLINE T maximum(const Source& x, size_t from, size_t n) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  auto m = splat(-infinity<T>()), a = m, b = m, c = m;
  size_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    m = max_skip_nan(m, high_part(x.at(from + i))), a = max_skip_nan(a, high_part(x.at(from + i + W)));
    b = max_skip_nan(b, high_part(x.at(from + i + 2 * W))), c = max_skip_nan(c, high_part(x.at(from + i + 3 * W)));
  }
  for (; i + W <= n; i += W) m = max_skip_nan(m, high_part(x.at(from + i)));
  if (i < n) m = max_skip_nan(m, high_part(x.at(from + i, n - i)));
  return reduce_max(max_skip_nan(max_skip_nan(m, a), max_skip_nan(b, c)));
}

template <class T, class Source> NEVER_INLINE bool has_nan(const Source& x, size_t from, size_t n) {
  constexpr size_t W = ExpTraits<T>::kLanes;
  bool nan = false;
  for (size_t i = 0; i < n; i += W) nan |= any_nan(high_part(n - i < W ? x.at(from + i, n - i) : x.at(from + i)));
  return nan;
}

// Writes `value` to the first n positions of a row, and 0 where they are masked.
template <class T, class Source, class Out>
SELDOM void fill_visible(const Logits<T, Source>& row, Out y, size_t n, T value) {
  for (size_t i = 0; i < n; i++)
    write_at(y, i, !row.mask || mask_lanes(row.mask, row.layout, row.mask_at + i, 1) ? value : (T)0);
}
// Whether a mask was given and the n logits are masked or −∞ throughout: such a row is no fault.
template <class T, class Source> SELDOM bool masked_to_nothing(const Logits<T, Source>& row, size_t n) {
  return row.mask && maximum<T>(row, 0, n) == -infinity<T>() && !has_nan<T>(row, 0, n) && !row.overflows(0, n);
}

}  // namespace
