// The sums of short float rows in which the distance of a logit from the maximum is not a double: measured again.
//
// The difference of two floats is a double, unless one is more than 2^28 times the other. log_sum.h takes it for one
// where there is no bias: rounding moves a term by |x − max| / T · 2^-53 of its size. No float result shows that, but
// log(1 + S) does where such terms are most of S. Two kinds of row have such terms: the maximum is small beside the
// logits below it, or logits are small beside the maximum.
#pragma once
#include "log_sum.h"

namespace {

// Whether the maximum makes distances round: it is not 0, and small beside logits with weight.
inline bool rounds_by_top(const LogRows<float>& rows, const Measured<float>& m, size_t i) {
  const double T = rows.temperature, top = m.top[i] < 0 ? -m.top[i] : m.top[i];
  if (!(top < T * 0x1p-18 && top > T * 0x1p-54)) return false;  // distances are off by the maximum at most
  const double far = 0.7 * (1 - exponent_of(m.others[i])) + 40;  // temperatures: terms beyond are nothing beside S
  return top < far * T * 0x1p-28;
}
// Whether logits that are small beside the maximum could be off so much that log(1 + S) shows it: all of them together
// by cols · u · exp(−u) · 2^-53, u being the maximum in temperatures.
inline bool suspects_small(const LogRows<float>& rows, const Measured<float>& m, size_t i) {
  if (!(m.top[i] > 2 * rows.temperature)) return false;
  if (rows.cols <= Measured<float>::W) return true;  // to look is as quick
  const double u = m.top[i] / rows.temperature;
  const double most = (double)rows.cols * u * (u < 700 ? pow2(-(int)(u * kLog2E)) : 0x1p-1000);
  return most > (1 + m.others[i]) * m.log_hi[i];
}
// Of these rows of a tile, the ones with a logit that is small beside the maximum, and not 0.
NEVER_INLINE uint32_t find_small(const LogRows<float>& rows, const Measured<float>& m, uint32_t suspects) {
  constexpr size_t W = Measured<float>::W;
  float limits[W];
  for (size_t i = 0; rows.across() && i < W; i++) limits[i] = (float)(m.top[i] * 0x1p-28);
  const f32x16 limit = rows.across() ? load(limits) : splat((float)(m.top[0] * 0x1p-28)), zero = splat(0.f);
  uint32_t found = 0;
  for (size_t v = 0; v < rows.vectors(); v++) {
    const size_t i = m.first + v * rows.step(), n = rows.width(m, v);
    const f32x16 x = n == W ? load(rows.x + i) : load_n(rows.x + i, n, 0.f);
    const f32x16 size = max_skip_nan(x, sub(zero, x));
    uint32_t small = lanes_above(limit, size) & lanes_above(size, zero);
    if (small && rows.extras.has_mask())
      small &= rows.extras.lanes(i, rows.across() ? v : v * W, n, rows.across());
    found |= small;
  }
  return rows.across() ? found & suspects : found != 0;
}
SELDOM void measure_again(const LogRows<float>& rows, const Run& run, Measured<float>& m, uint32_t which) {
  constexpr size_t W = Measured<float>::W;
  LogRows<float> exact = rows;
  exact.wants_exact = true;
  Measured<float> again = m;
  Lanes<float> lanes;
  Measuring<float>{exact, run, again, &lanes}.go();
  if (!rows.across()) which = (1u << W) - 1;
  for (size_t i = 0; i < W; i++) {
    if (!(which >> i & 1)) continue;
    m.sum[i] = again.sum[i];
    m.others[i] = again.others[i];
    m.others_low[i] = again.others_low[i];
    m.log_hi[i] = again.log_hi[i];
    m.log_lo[i] = again.log_lo[i];
  }
}
// Puts right what rounded distances have done to the sums of a tile. Longer rows are summed in floats: log_quick.h.
NEVER_INLINE void measure_rounded(const LogRows<float>& rows, const Run& run, Measured<float>& m) {
  if (rows.cols > kShort || !rows.lean()) return;
  uint32_t rounded = 0, suspects = 0;
  for (size_t i = 0; i < m.n; i++) {
    if ((m.odd >> i & 1) || !(m.others[i] > 0 && m.others[i] < 1e300)) continue;
    rounded |= (uint32_t)rounds_by_top(rows, m, i) << i;
    suspects |= (uint32_t)suspects_small(rows, m, i) << i;
  }
  suspects &= ~rounded;
  if (suspects) rounded |= find_small(rows, m, suspects);
  if (rounded) measure_again(rows, run, m, rounded);
}

}  // namespace
