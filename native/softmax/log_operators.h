// The logarithmic operators, from the maximum of a row and log(1 + S) (log_row_sum.h):
//
//   logSoftmax     y = (x − max) / T − log(1 + S)         two terms of one sign: no cancellation
//   logSumExp      max / T + log(1 + S)                   LogRows::log_sum_exp
//   crossEntropy   −y at the target; its gradient by x is (softmax − [is the target]) / T
//
// log_operators() is the call. log_tiles.h measures tiles and shares them among threads. The functions of this file
// write the results of a measured tile.
#pragma once
#include "log_tiles.h"

namespace {

template <class T>
template <bool kExactDistance, class F>
ALWAYS void LogOperators<T>::write_vectors(const MeasuredTile<T>& m, T* out, size_t from, size_t to, F result) const {
  f64x8 top[kParts], low[kParts];
  UNROLL
  for (size_t p = 0; p < kParts; p++) {
    top[p] = load(m.top + 8 * p);
    low[p] = load(m.low + 8 * p);
  }
  for (size_t v = from; v < to; v++) {
    Two<f64x8> z[kParts];
    f64x8 y[kParts];
    uint32_t lanes = rows.template read<kExactDistance>(m, v, z);
    UNROLL
    for (size_t p = 0; p < kParts; p++)
      y[p] = result(rows.template distance<kExactDistance>(z[p], top[p], low[p]), p, lanes >> 8 * p, v);
    size_t n = rows.width(m, v);
    T* at = out + m.first + v * rows.stride();
    n == W ? store(at, narrowed(y, T())) : store_n(at, narrowed(y, T()), n);
  }
}

template <class T>
template <bool kExactDistance>
inline void LogOperators<T>::write_logs(const MeasuredTile<T>& m, size_t from, size_t to) const {
  const uint32_t nan_rows = m.nan_results;
  const f64x8 inverse = splat(1 / rows.scale.temperature), temperature = splat(-rows.scale.temperature);
  const f64x8 zero = splat(0.), nan = splat(not_a_number<double>());
  f64x8 log_hi[kParts], log_lo[kParts];
  UNROLL
  for (size_t p = 0; p < kParts; p++) {
    log_hi[p] = sub(zero, load(m.log_hi + 8 * p));
    log_lo[p] = load(m.log_lo + 8 * p);
  }
  write_vectors<kExactDistance>(m, logs, from, to, [&](Two<f64x8> d, size_t p, uint32_t lanes, size_t) ALWAYS_LAMBDA {
    f64x8 y;
    if (kExactDistance) y = fma(d.x, inverse, log_hi[p]);  // far better than a float needs
    else {
      f64x8 t = mul(d.x, inverse), rest = fma(t, temperature, d.x);
      if (!kExactDistance) rest = add(rest, d.low);
      y = add(t, sub(zero_below(fma(rest, inverse, log_hi[p]), t, splat(-largest<double>())), log_lo[p]));
    }
    if (nan_rows) y = select_bits(nan, y, lanes & nan_rows >> 8 * p);  // a masked position is −∞ in any row
    return y;
  });
}

template <class T>
inline Pair LogOperators<T>::scaled_reciprocal(const MeasuredTile<T>& m, size_t row, double g) const {
  Pair w = two_sum_pair(1, m.others[row]);
  w.lo += m.others_low[row];
  for (int i = 0; i < 2; i++) {
    double factor = i ? rows.scale.temperature : g;
    double hi = w.hi * factor;
    w = {hi, FUSED_F64(w.hi, factor, -hi) + w.lo * factor};
  }
  double hi = 1 / w.hi, lo = hi * (FUSED_F64(-hi, w.hi, 1) - hi * w.lo);
  return {hi, lo};
}

template <class T>
template <bool kExactDistance>
inline void LogOperators<T>::write_gradient(const MeasuredTile<T>& m, size_t from, size_t to) const {
  const uint32_t non_finite = m.non_finite;
  const bool has_shares = terms && terms->has_shares();
  double hi[W], lo[W], constant[W];
  for (size_t i = 0; i < W; i++) {
    bool is_ignored = rows.across() && i < m.n && targets[row_of(m) + i] < 0;
    constant[i] = is_ignored || !(m.nan_results >> i & 1) ? 0 : not_a_number<double>();
    if (i > 0 && !rows.across()) {
      hi[i] = hi[0];
      lo[i] = lo[0];
      continue;
    }
    Pair s = is_ignored || i >= m.n ? Pair{0, 0} : scaled_reciprocal(m, i, LogRows<T>::kG);
    const double times = terms && !is_ignored ? m.factor[i] : 1;
    hi[i] = s.hi * times;
    lo[i] = s.lo * times;
  }
  const ExpVector<double> e(rows.scale, 0);
  // The power of two of a far temperature. A factor below 1 comes last, so that a subnormal result is rounded once.
  const bool scales_down = rows.scale.scale1 < 1;
  const double first = rows.scale.scale1 / LogRows<T>::kExpOfZero;
  const double second = rows.scale.scale2 * rows.derivative_factor;
  const double last = scales_down ? second : 1;
  const f64x8 factor = splat(scales_down ? first : first * second), last_factor = splat(last);
  f64x8 share_hi[kParts], share_lo[kParts];
  UNROLL
  for (size_t p = 0; p < kParts; p++) {
    share_hi[p] = load(hi + 8 * p);
    share_lo[p] = load(lo + 8 * p);
  }
  const auto result = [&](Two<f64x8> d, size_t p, uint32_t lanes, size_t v) ALWAYS_LAMBDA {
    f64x8 t, rest, g;
    if (kExactDistance) g = mul(mul(exp_below<false>(e, d.x, t), factor), share_hi[p]);
    else {
      f64x8 q = exp_below<false>(e, d, t, &rest);
      g = mul(fma(q, share_hi[p], fma(rest, share_hi[p], mul(q, share_lo[p]))), factor);
    }
    if (!kExactDistance && last != 1) g = mul(g, last_factor);
    if (terms) g = has_shares ? minus_shares(m, v, p, g) : same_nan(mul(g, load(m.more + 8 * p)));
    if (non_finite) g = select_bits(load(constant + 8 * p), g, non_finite >> 8 * p);
    return !rows.extras.has_mask() ? g : select_bits(g, splat(0.), lanes);
  };
  write_vectors<kExactDistance>(m, gradient, from, to, result);
}

template <class T>
NEVER_INLINE typename LogOperators<T>::TargetTerm LogOperators<T>::target_term(const MeasuredTile<T>& m,
                                                                               size_t i) const {
  size_t target = (size_t)targets[row_of(m) + i], v = rows.across() ? target : target / W;
  size_t lane = rows.across() ? i : target % W;
  Two<f64x8> z[kParts];
  uint32_t lanes = rows.read_out_of_line(m, v, z);
  const ExpVector<double> e(rows.scale, 0);
  double x[W], low[W], q[W];
  UNROLL
  for (size_t p = 0; p < kParts; p++) {
    z[p] = rows.template distance<false>(z[p], load(m.top + 8 * p), load(m.low + 8 * p));
    store(x + 8 * p, z[p].x);
    store(low + 8 * p, z[p].low);
  }
  bool is_visible = lanes >> lane & 1, is_top = x[lane] == 0 && low[lane] == 0;
  double temperature = rows.scale.temperature, a = x[lane] / temperature;
  double rest = (FUSED_F64(-a, temperature, x[lane]) + low[lane]) / temperature;
  double loss = !is_visible              ? infinity<double>()
                : m.nan_results >> i & 1 ? not_a_number<double>()
                : a - a != 0             ? -a
                                         : (m.log_hi[i] - a) + (m.log_lo[i] - rest);
  Pair others = {m.others[i], m.others_low[i]};
  if (!is_top && (gradient || terms)) {
    UNROLL
    for (size_t p = 0; p < kParts; p++) {
      f64x8 t;
      store(q + 8 * p, exp_below<false>(e, z[p], t));
    }
    others = two_sum_pair(others.hi, 1);
    others.lo += m.others_low[i] - q[lane] / LogRows<T>::kExpOfZero * LogRows<T>::kInverseG;
  }
  return {loss, others, m.first + v * rows.stride() + lane, is_visible, is_top};
}

template <class T>
NEVER_INLINE typename LogOperators<T>::Target LogOperators<T>::write_loss(MeasuredTile<T>& m, size_t i) const {
  size_t row = row_of(m) + i;
  loss[row] = 0;
  if (targets[row] < 0) return {0, 0, false};
  if (terms) return write_loss_with_terms(m, i);
  const TargetTerm t = target_term(m, i);
  loss[row] = t.loss;
  if (!gradient) return {0, 0, false};
  Pair others = t.others, share = scaled_reciprocal(m, i, 1);
  double scale1 = rows.scale.scale1, scale2 = rows.scale.scale2 * rows.derivative_factor;
  if (t.is_top && others.hi < 0x1p-900) {  // S may be subnormal where the gradient is normal
    others = {m.sum[i] * LogRows<T>::kInverseG, 0};
    scale1 *= scale2 / LogRows<T>::kExpOfZero;
    scale2 = 1;
  }
  double g = FUSED_F64(others.hi, share.hi, others.hi * share.lo + others.lo * share.hi) * scale1 * scale2;
  return {t.index, (T)-g, t.is_visible && !(m.non_finite >> i & 1)};
}

template <class T> inline void LogOperators<T>::write_part(void* self, size_t part) {
  const WriteTask& w = *(WriteTask*)self;
  if (w.s.run.stopped()) return;
  constexpr bool kMayBeExact = LogRows<T>::kMayHaveExactDistance;
  size_t from = part * TileMeasurer<T>::kVectors;
  size_t to = w.measurer.end(part);
  bool is_exact = w.s.rows.has_exact_distance();
  if (w.s.logs)
    is_exact ? w.s.template write_logs<kMayBeExact>(w.m, from, to) : w.s.template write_logs<false>(w.m, from, to);
  if (w.s.gradient)
    is_exact ? w.s.template write_gradient<kMayBeExact>(w.m, from, to)
             : w.s.template write_gradient<false>(w.m, from, to);
}

// The outputs of a call. Null: not wanted. targets and loss come together.
template <class T> struct LogResults {
  T* logs = nullptr;
  double *log_sums = nullptr, *loss = nullptr;
  const int32_t* targets = nullptr;
  T* gradient = nullptr;
  const LossTerms<T>* terms = nullptr;
};
template <class T> void log_operators(const Run& run, const T* x, const LogitRows<T>& rows, const LogResults<T>& to) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of_call(rows.temperature);
  LogRows<T> log_rows = {x, e.cols, e.inner, scale, Extras<T>(rows), rows.temperature};
  const LogOperators<T> all{run, log_rows, e.outer, to.logs, to.log_sums, to.loss, to.targets, to.gradient,
                            ExpScale<T>::of_call(rows.temperature), to.terms};
  !to.terms && ShortLogRows<T>::may_have(log_rows) ? ShortLogRows<T>(all).run_tiles() : all.run_tiles();
}

}  // namespace
