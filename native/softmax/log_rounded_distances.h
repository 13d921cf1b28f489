// Short float rows with a distance from the maximum that no double holds. They are measured again, with pairs.
//
// The difference of two floats is a double, unless one float is more than 2^28 times the other. log_rows.h rounds it to
// a double in any case, which moves a term by up to |x − max| / T · 2^-53 of its size. No float result shows that, but
// log(1 + S) shows it where such terms are most of S. Two kinds of row have such terms: rows whose maximum is small
// beside the other logits, and rows with logits that are small beside the maximum.
#pragma once
#include "block_sum.h"
#include "log_row_sum.h"

namespace {

// Whether the maximum is not 0, and small beside logits with weight.
inline bool has_small_top(const LogRows<float>& rows, const MeasuredTile<float>& m, size_t i) {
  const double T = rows.temperature, top = m.top[i] < 0 ? -m.top[i] : m.top[i];
  if (!(top < T * 0x1p-18 && top > T * 0x1p-54)) return false;     // no distance is off by more than the maximum
  const double reach = 0.7 * (1 - exponent_of(m.others[i])) + 40;  // in temperatures: terms beyond are nothing beside S
  return top < reach * T * 0x1p-28;
}
// Whether log(1 + S) would show the rounding if all other logits were small beside the maximum. Their terms would be
// off by cols · u · exp(−u) · 2^-53 together, where u is the maximum in temperatures.
inline bool may_have_small_logits(const LogRows<float>& rows, const MeasuredTile<float>& m, size_t i) {
  if (!(m.top[i] > 2 * rows.temperature)) return false;
  if (rows.cols <= MeasuredTile<float>::W) return true;  // a search is as fast
  const double u = m.top[i] / rows.temperature;
  const double most = (double)rows.cols * u * (u < 700 ? pow2(-(int)(u * kLog2E)) : 0x1p-1000);
  return most > (1 + m.others[i]) * m.log_hi[i];
}
// Returns the suspects that have a logit that is not 0, and small beside the maximum.
NEVER_INLINE uint32_t find_small_logits(const LogRows<float>& rows, const MeasuredTile<float>& m, uint32_t suspects) {
  constexpr size_t W = MeasuredTile<float>::W;
  float limits[W];
  for (size_t i = 0; rows.across() && i < W; i++) limits[i] = (float)(m.top[i] * 0x1p-28);
  const f32x16 limit = rows.across() ? load(limits) : splat((float)(m.top[0] * 0x1p-28)), zero = splat(0.f);
  uint32_t found = 0;
  for (size_t v = 0; v < rows.vectors(); v++) {
    const size_t i = m.first + v * rows.stride(), n = rows.width(m, v);
    const f32x16 x = n == W ? load(rows.x + i) : load_n(rows.x + i, n, 0.f);
    const f32x16 size = max_skip_nan(x, sub(zero, x));
    uint32_t small = lanes_above(limit, size) & lanes_above(size, zero);
    if (small && rows.extras.has_mask()) small &= rows.extras.lanes(i, rows.across() ? v : v * W, n, rows.across());
    found |= small;
  }
  return rows.across() ? found & suspects : found != 0;
}
// Measures a tile again with pairs of doubles, and takes the sums of `which` rows from it.
SELDOM void measure_with_pairs(const LogRows<float>& rows, const Run& run, MeasuredTile<float>& m, uint32_t which) {
  constexpr size_t W = MeasuredTile<float>::W;
  LogRows<float> pair_rows = rows;
  pair_rows.wants_pairs = true;
  MeasuredTile<float> measured = m;
  LaneReadings<float> lanes;
  TileMeasurer<float>{pair_rows, run, measured, &lanes}.measure();
  if (!rows.across()) which = (1u << W) - 1;
  for (size_t i = 0; i < W; i++) {
    if (!(which >> i & 1)) continue;
    m.sum[i] = measured.sum[i];
    m.others[i] = measured.others[i];
    m.others_low[i] = measured.others_low[i];
    m.log_hi[i] = measured.log_hi[i];
    m.log_lo[i] = measured.log_lo[i];
  }
}
// Corrects the sums of a tile whose distances round. Longer rows are summed in floats: log_long_rows.h.
NEVER_INLINE void correct_rounded_distances(const LogRows<float>& rows, const Run& run, MeasuredTile<float>& m) {
  if (rows.cols > kShortRow || !rows.has_exact_distance()) return;
  uint32_t rounded = 0, suspects = 0;
  for (size_t i = 0; i < m.n; i++) {
    if ((m.non_finite >> i & 1) || !(m.others[i] > 0 && m.others[i] < 1e300)) continue;
    rounded |= (uint32_t)has_small_top(rows, m, i) << i;
    suspects |= (uint32_t)may_have_small_logits(rows, m, i) << i;
  }
  suspects &= ~rounded;
  if (suspects) rounded |= find_small_logits(rows, m, suspects);
  if (rounded) measure_with_pairs(rows, run, m, rounded);
}

}  // namespace
