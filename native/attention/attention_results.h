// The results of an attention call: outputs with their log-sum-exps, or states of sums that other calls can merge.
// These are members of Attention (attention_call.h).
//
// write_rows goes down: shared values replace their columns, a sink joins the sum, the log-sum-exp is taken, and the
// weighted values are divided by the sum of the weights. A state leaves as it is, without the kernels' factor kG.
#pragma once
#include "attention_call.h"

namespace {

// Writes the results of the rows [r, end) of a block: outputs, or states.
inline void Attention::write_rows(const BlockTask& task, size_t r, size_t end) const {
  QueryBlock& rows = task.rows;
  for (; r < end && !run.stopped(); r++) {
    size_t i = task.block * block_rows + r;
    size_t head = task.kv_head * shape.heads_per_kv() + i % shape.heads_per_kv(), query = i / shape.heads_per_kv();
    size_t row = shape.row_index(task.sequence, head, shape.heads, query, shape.queries);
    QuerySum& sum = rows.sums[r];
    double* totals = rows.totals_of(r);
    for (size_t c = 0; !sum.has_parts && c < shape.value_width(); c++) totals[c] = 0;
    KnownLse lse = {};
    if (is_ordinary(sum.mantissa) && !task.shared_values.is_known_empty(rows.queries[r]))
      lse = use_shared_values(rows.queries[r], sum, totals, task, head);
    double mantissa = sum.mantissa / ExpTraits<float>::kG, exponent = sum.exponent;
    if (data.results.sums) {
      write_state(row, totals, mantissa, exponent);
      continue;
    }
    if (data.changes.sinks) add_sink(data.changes.sinks[head], mantissa, exponent, totals, lse);
    if (data.results.lse)
      data.results.lse[(task.sequence * shape.heads + head) * shape.queries + query] =
          lse.is_known ? lse.value : log_of(mantissa, exponent);
    float numbers[kTile], *y = data.narrow ? numbers : (float*)data.out + row * shape.value_depth;
    double inverse = is_ordinary(mantissa) ? 1 / (mantissa * ExpTraits<float>::kG)
                     : mantissa == 0    ? 0
                                        : not_a_number<double>();
    for (size_t c = 0; c < shape.value_depth; c += kTile) {
      f32x16 x = narrow(mul(load(totals + c), splat(inverse)), mul(load(totals + c + 8), splat(inverse)));
      size_t left = shape.value_depth - c < kTile ? shape.value_depth - c : kTile;
      left < kTile ? store_n(y, x, left) : store(y, x);
      for (size_t j = 0; any_nan(x) && j < left; j++) y[j] = y[j] == y[j] ? y[j] : not_a_number<float>();
      if (data.narrow) data.narrow(y, (uint16_t*)data.out + row * shape.value_depth + c, left);
      else y += kTile;
    }
  }
}
// Puts the values that a row's keys share into its totals. Returns the log-sum-exp of a row that sees one key.
Attention::KnownLse Attention::use_shared_values(const Query& query, QuerySum& sum, double* totals,
                                                 const BlockTask& task, size_t head) const {
  task.shared_values.find(query);
  KnownLse lse =
      task.shared_values.only_key == SharedValues::kNoKey ? KnownLse{} : use_only_key(query, sum, task, head);
  task.shared_values.replace(sum.mantissa, totals);
  return lse;
}
// Sets the sum of a row that sees one key to the exponential of its score, in double. Returns that score.
Attention::KnownLse Attention::use_only_key(const Query& query, QuerySum& sum, const BlockTask& task,
                                            size_t head) const {
  size_t key = task.shared_values.only_key;
  double score = key_values.dot(task.sequence, task.kv_head, key, query.q) * shape.scale;
  if (shape.softcap > 0) score = shape.softcap * tanh_scalar(score / shape.softcap);
  if (query.slope != 0) score -= data.changes.slopes[head] * QueryBlock::distance(query.position, (double)key);
  if (query.bias) score += query.bias[key];
  PowerOfE power = power_of_e(score);
  sum.mantissa = power.mantissa * ExpTraits<float>::kG;
  sum.exponent = power.exponent;
  return {true, score};
}
// Writes a row's state with a mantissa in [1, 2). An exponent that does not fit 32 bits is INT32_MIN.
void Attention::write_state(size_t row, const double* totals, double mantissa, double exponent) const {
  bool is_usual = is_ordinary(mantissa);
  int shift = is_usual ? exponent_of(mantissa) : 0;
  double factor = (is_usual ? pow2(-shift) : mantissa == 0 ? 0 : not_a_number<double>()) / ExpTraits<float>::kG;
  double state_exponent = is_usual ? exponent + shift : 0;
  for (size_t c = 0; c < shape.value_depth; c++)
    data.results.sums[row * shape.value_depth + c] = canonical_nan(totals[c] * factor);
  data.results.mantissa[row] = is_usual ? with_exponent(mantissa, 0) : canonical_nan(mantissa);
  data.results.exponent[row] =
      state_exponent > -INT32_MAX && state_exponent < INT32_MAX ? (int32_t)state_exponent : INT32_MIN;
}
// Returns x, with the same bits for every NaN: processors make NaNs of different bits.
inline double Attention::canonical_nan(double x) { return x == x ? x : not_a_number<double>(); }
// Adds a key with the score `sink` and the value 0. The log-sum-exp is the sink if it has all of the weight.
void Attention::add_sink(double sink, double& mantissa, double& exponent, double* totals, KnownLse& lse) const {
  if (mantissa == 0) lse = {true, canonical_nan(sink)};
  if (sink == -infinity<double>()) return;
  if (sink - sink != 0) {
    mantissa += sink;
    lse.is_known = false;
    return;
  }
  PowerOfE power = power_of_e(sink);
  double highest = mantissa == 0 || power.exponent > exponent ? power.exponent : exponent;
  double old_factor = mantissa == 0 ? 0 : QueryBlock::power(exponent - highest, mantissa);
  double sink_factor = QueryBlock::power(power.exponent - highest, 0);
  if (old_factor == 0) lse = {true, sink};
  else lse.is_known &= sink_factor == 0;
  mantissa = FUSED_F64(power.mantissa, sink_factor, mantissa * old_factor);
  exponent = highest;
  for (size_t c = 0; c < shape.value_width(); c++) totals[c] *= old_factor;
}
// Returns ln(mantissa · 2^exponent), rounded about once: −∞ for 0; +∞ and NaN stay.
inline double Attention::log_of(double mantissa, double exponent) {
  if (!is_ordinary(mantissa)) return mantissa == 0 ? -infinity<double>() : canonical_nan(mantissa);
  int n = exponent_of(mantissa);
  double m = with_exponent(mantissa, 0);
  if (m > 0x1.6a09e667f3bcdp0) {  // ln m and n · ln 2 must not cancel near 1
    m /= 2;
    n++;
  }
  Pair log = m < 1 ? log1p_pair(1 / m - 1, 0) : log1p_pair(m - 1, 0);
  double hi = m < 1 ? -log.hi : log.hi;
  return FUSED_F64(exponent + n, 0x1.62e42feep-1, hi + (exponent + n) * 0x1.a39ef35793c76p-33);
}

}  // namespace
