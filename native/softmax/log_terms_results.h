// The results of a measured tile for a loss with terms: its losses, and what its gradient is made from.
// log_loss_terms.h has the loss as a function of D = −ln p, ../losses/cross_entropy.h the formulas.
#pragma once
#include "log_tiles.h"

namespace {

template <class T>
ALWAYS f64x8 LogOperators<T>::shares_at(const MeasuredTile<T>& m, size_t v, size_t p, uint32_t lanes) const {
  const size_t width = rows.width(m, v), n = width < 8 * p + 8 ? width : 8 * p + 8;  // lanes outside have the share 0
  const size_t at = m.first + v * rows.stride();
  const f64x8 zero = splat(0.);
  f64x8 soft[kParts], b = div(splat(terms->smoothing), load(m.classes + 8 * p));
  uint32_t counted = lanes >> 8 * p;
  if (terms->soft) {
    widen(width == W ? load(terms->soft + at) : load_n(terms->soft + at, width, (T)0), soft);
    const f64x8 share = mul(splat(1 - terms->smoothing), soft[p]);
    const uint32_t given = lanes_above(share, zero) | lanes_above(zero, share) | nan_lanes(share);
    b = add(share, select_bits(b, zero, counted | given));
    counted |= given;
  }
  b = select_bits(b, zero, counted);
  if (!terms->weight || n <= 8 * p) return b;
  if (rows.across()) return mul(b, splat(terms->weight[v]));
  return mul(b, load_n(terms->weight + v * W + 8 * p, n - 8 * p, 0.));
}

template <class T> NEVER_INLINE void LogOperators<T>::sum_shares(MeasuredTile<T>& m) const {
  const f64x8 zero = splat(0.), inverse = splat(1 / rows.scale.temperature), lowest = splat(-infinity<double>());
  f64x8 sum[kParts], loss_sum[kParts], rest[kParts];  // rest: what rounding takes from loss_sum
  for (size_t p = 0; p < kParts; p++) sum[p] = loss_sum[p] = rest[p] = zero;
  if (rows.extras.has_mask()) {
    double classes[W] = {};
    for (size_t v = 0; v < rows.vectors(); v++) {
      Two<f64x8> z[kParts];
      const uint32_t lanes = rows.read_out_of_line(m, v, z);
      for (size_t i = 0; i < W; i++) classes[rows.across() ? i : 0] += lanes >> i & 1;
    }
    for (size_t i = 0; i < W; i++) m.classes[i] = classes[rows.across() ? i : 0];
  }
  for (size_t v = 0; v < rows.vectors(); v++) {
    Two<f64x8> z[kParts];
    const uint32_t lanes = rows.read_out_of_line(m, v, z);
    for (size_t p = 0; p < kParts; p++) {
      const Two<f64x8> d = rows.template distance<false>(z[p], load(m.top + 8 * p), load(m.low + 8 * p));
      const f64x8 a = select_bits(mul(add(d.x, d.low), inverse), lowest, lanes >> 8 * p);
      const f64x8 b = shares_at(m, v, p, lanes), part = mul(b, sub(load(m.log_hi + 8 * p), a));
      const uint32_t counted = lanes_above(b, zero) | lanes_above(zero, b) | nan_lanes(b);
      sum[p] = add(sum[p], b);
      const Two<f64x8> next = two_sum(loss_sum[p], select_bits(part, zero, counted));  // 0 of a loss of +∞ is 0
      loss_sum[p] = next.x;
      rest[p] = add(rest[p], next.low);
    }
  }
  for (size_t p = 0; p < kParts; p++) {
    store(m.share_sum + 8 * p, sum[p]);
    store(m.share_loss + 8 * p, add(loss_sum[p], zero_unless_finite(rest[p])));
  }
  for (size_t i = 1; !rows.across() && i < W; i++) {
    m.share_sum[0] += m.share_sum[i];
    m.share_loss[0] += m.share_loss[i];
  }
}

template <class T> NEVER_INLINE void LogOperators<T>::prepare_terms(MeasuredTile<T>& m) const {
  for (size_t i = 0; i < W; i++) {
    m.factor[i] = m.share_sum[i] = m.share_loss[i] = 0;
    m.more[i] = 1;
    m.classes[i] = (double)rows.cols;
  }
  m.ignored = 0;
  for (size_t i = 0; rows.across() && i < m.n; i++) m.ignored |= (uint32_t)(targets[row_of(m) + i] < 0) << i;
  if (terms->has_shares()) sum_shares(m);
}

template <class T>
NEVER_INLINE typename LogOperators<T>::GivenTerm LogOperators<T>::given_term(MeasuredTile<T>& m, size_t i) const {
  const double target = terms->given[2 * (row_of(m) + i)] * rows.derivative_factor;
  if ((m.non_finite >> i & 1) && m.sum[i] == -infinity<double>()) {  // no other element counts
    m.nan_results &= rows.across() ? ~(1u << i) : 0;
    return {target == target ? 0 : target, 0, 1};
  }
  if (m.nan_results >> i & 1) return {not_a_number<double>(), 1, 1};
  // The largest of the others lies a + rest above the target.
  const Pair d = two_sum_pair(m.top[i], -target);
  const double a = d.hi / rows.temperature;
  if (a - a != 0) return {a > 0 ? a : a == a ? 0 : a, a > 0 ? 1. : 0., 1};
  const double rest = (FUSED_F64(-a, rows.temperature, d.hi) + (d.lo + m.low[i])) / rows.temperature;
  const double others = 1 + m.others[i], term = exp_of(a < 0 ? a : -a) * (1 + (a < 0 ? rest : -rest));
  if (a < 0) {
    const double sum = others * term;
    return {log1p_pair(sum, 0).hi, sum, 1 + sum};
  }
  const Pair log = log1p_pair(m.others[i] + term, 0);
  return {a + (log.hi + rest), others, others + term};
}

template <class T>
NEVER_INLINE typename LogOperators<T>::Target LogOperators<T>::write_loss_with_terms(MeasuredTile<T>& m,
                                                                                     size_t i) const {
  const size_t row = row_of(m) + i, target = (size_t)targets[row];
  const double penalty = terms->lse_penalty, *given = terms->given ? terms->given + 2 * row : nullptr;
  const double weight = terms->soft ? 0 : terms->weight_of(target) * (1 - terms->smoothing);
  TargetTerm t = {};
  if (weight != 0 && !given) t = target_term(m, i);
  const double rest = t.others.hi + t.others.lo;
  const GivenTerm g = given ? given_term(m, i) : GivenTerm{t.loss, rest, 1 + m.others[i]};
  double lse = 0;
  if (penalty != 0 && !given) lse = rows.log_sum_exp(m, i);
  if (penalty != 0 && given) lse = given[0] / rows.temperature * rows.derivative_factor + g.loss;
  const double beside = m.share_sum[i] + 2 * penalty * lse;  // multiplies p of all classes, beside the target's part
  double sum = m.share_loss[i] + penalty * lse * lse;
  const double others = given ? g.others / g.whole : 1;  // the probability of all classes that the tile has measured
  double factor = beside, more = 1;
  Target result = {0, 0, false};
  if (weight != 0) {
    const LossOfTarget f = loss_of_target(*terms, g.loss, g.others, g.whole);
    const double p = (g.whole - g.others) / g.whole;
    double at_target = beside * p - weight * f.factor * (g.others / g.whole) * f.more;
    sum += weight * f.loss;
    more = f.more;
    factor = weight * f.factor + beside / f.more;
    if (given) {
      at_target *= given[1];
      t.index = m.first + (rows.across() ? target * rows.inner + i : target);
      t.is_visible = true;
    }
    if (terms->has_shares()) at_target -= terms->share_of(t.index, target, m.classes[i]);
    result = {t.index, (T)same_nan(at_target * terms->scale * slope()), t.is_visible && !(m.non_finite >> i & 1)};
  }
  for (size_t lane = i; lane < (rows.across() ? i + 1 : W); lane++) {
    m.factor[lane] = factor * others * terms->scale;
    m.more[lane] = more;
  }
  loss[row] = m.nan_results >> i & 1 ? not_a_number<double>() : same_nan(sum * terms->scale);
  return result;
}

template <class T>
NEVER_INLINE f64x8 LogOperators<T>::minus_shares(const MeasuredTile<T>& m, size_t v, size_t p, f64x8 g) const {
  const f64x8 shares = select_bits(splat(0.), shares_at(m, v, p, ~0u), m.ignored >> 8 * p);
  return same_nan(sub(mul(g, load(m.more + 8 * p)), mul(shares, splat(terms->scale * slope()))));
}

}  // namespace
