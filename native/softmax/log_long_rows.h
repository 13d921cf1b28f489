// Fast logarithmic operators on long float rows: the float sum of softmax, and doubles for the rest.
//
//   logSoftmax    y = z / T − log Σ exp(z / T)         if no term is more than an eighth of Σ; z = x + bias
//                 y = (z − top) / T − log(1 + S)       else; top is the largest logit
//
// S is the sum of all terms but the largest, relative to the largest. In the first case Σ has an error of 1.33 · 2^-24
// if all terms are equal, and a smaller one else. y is at most −2.07: this error and the error of doubles, for a z of
// up to 22,000 temperatures, are less than half a last place of y. In the second case the error of S is smaller, or S
// is NaN (largest_terms.h).
//
// measure() returns false for a short row, for one with an S of NaN, and for one without an ordinary sum. log_row_sum.h
// computes these rows exactly, and all double rows.
#pragma once
#include "../math/log.h"
#include "../rows/share_rows.h"
#include "row_sum.h"
#include "state.h"
#include "write_row.h"

namespace {

// Source and Out: pointers to floats or to halves (formats.h).
template <class Source, class Out> struct LogLongRow {
  const Run& run;
  LogitRow<float, Source> row;
  Out logs, gradient;                   // null: not wanted
  Sum* sums;                            // one a part
  BlockSum* blocks;                     // one a block
  double top = 0, log = 0, others = 0;  // logSoftmax is (z − top) / T − log; `others` is S
  size_t peak_at = 0;
  bool has_peak = false;                  // the second case
  Reciprocal<float> share = {{1, 0, 0}};  // 1 / (T Σ)

  Parts parts() const { return {row.n}; }

  static void sum(void* self, size_t i) {
    LogLongRow& s = *(LogLongRow*)self;
    if (s.run.stopped()) return;
    if (!sum_part<false>(s.row, i * kSuper, s.parts().end(i), (float*)nullptr, s.blocks + i * kSuper / kBlock,
                         s.sums[i]))
      s.sums[i] = kOutOfReach;
  }
  // Finds what results are made from. Returns false if log_row_sum.h must measure the row.
  bool measure() {
    if (row.n <= kShortRow || row.scale->scaled) return false;
    row.wants_others = true;
    parts().each(run, sum, this);
    if (run.stopped() || !all_reached(sums, parts().count())) return false;
    Sum total = merge_states<float>(sums, parts().count());
    if (!is_ordinary(total.mantissa)) return false;
    double peak = total.peak / ExpTraits<float>::kG;
    has_peak = peak > total.mantissa / 8;
    if (has_peak) {
      others = total.others / peak;
      peak_at = total.peak_at;
      if (!(others > 0x1p-100)) return false;  // terms below a float's window may be part of S
      Pair pair = log1p_pair(others, 0);
      top = logit(peak_at);
      log = pair.hi + pair.lo;
    }
    double octaves = total.exponent + exponent_of(total.mantissa), m = with_exponent(total.mantissa, 0);
    if (!has_peak) {
      Pair pair = log1p_pair(m - 1, 0);
      log = octaves * 0x1.62e42feep-1 + (pair.hi + (octaves * 0x1.a39ef35793c76p-33 + pair.lo));
    }
    total.mantissa *= row.double_scale->temperature;
    share = Reciprocal<float>(from_state<float>(total));
    return true;
  }

  // Reads n ≤ 16 logits as doubles, −∞ where masked. x: the row's logits.
  template <bool kPlain, class Known> ALWAYS void read(Known x, size_t i, size_t n, f64x8& low, f64x8& high) const {
    const Logits<float, Source>& z = row.logits;
    f32x16 v = n == 16 ? load(x + i) : load_n(of_any_format(x) + i, n, 0);
    low = low_f64(v);
    high = high_f64(v);
    if (kPlain) return;
    if (z.bias) {
      v = n == 16 ? load(z.bias + i) : load_n(z.bias + i, n, 0);
      low = add(low, low_f64(v));
      high = add(high, high_f64(v));
    }
    if (!z.mask) return;
    uint32_t lanes = mask_lanes(z.mask, z.layout, z.mask_at + i, n);
    f64x8 masked = splat(-infinity<double>());
    low = select_bits(low, masked, lanes);
    high = select_bits(high, masked, lanes >> 8);
  }
  template <bool kPlain, class Known, class KnownOut>
  void write_logs(Known x, KnownOut y, size_t from, size_t to) const {
    const f64x8 inverse = splat(1 / row.double_scale->temperature), tops = splat(top), minus_log = splat(-log);
    auto result = [&](size_t i, size_t n) ALWAYS_LAMBDA {
      f64x8 low, high;
      read<kPlain>(x, i, n, low, high);
      return narrow(fma(sub(low, tops), inverse, minus_log), fma(sub(high, tops), inverse, minus_log));
    };
    size_t i = from;
    for (; i + 64 <= to; i += 64)
      for (size_t j = 0; j < 64; j += 16) store(y + i + j, result(i + j, 16));
    for (; i + 16 <= to; i += 16) store(y + i, result(i, 16));
    if (i < to) store_n(y + i, result(i, to - i), to - i);
  }
  static void write(void* self, size_t part) {
    const LogLongRow& s = *(const LogLongRow*)self;
    if (s.run.stopped()) return;
    size_t from = part * kSuper;
    const size_t to = s.parts().end(part);
    const auto write_plain = [&](auto x, auto y) ALWAYS_LAMBDA { s.template write_logs<true>(x, y, from, to); };
    if (s.logs && s.row.is_plain) in_known_format(s.row.logits.x, s.logs, write_plain);
    else if (s.logs) s.template write_logs<false>(s.row.logits.x, s.logs, from, to);
    if (s.gradient) write_part(s.row, from, to, s.gradient, s.blocks + from / kBlock, s.share, false);
  }
  void write() {
    parts().each(run, write, this);
    if (gradient && has_peak) write_at(gradient, peak_at, (float)(1 / ((1 + others) * row.double_scale->temperature)));
  }
  // Returns log Σ exp(z / T).
  double log_sum_exp() const { return top / row.double_scale->temperature + log; }
  double logit(size_t at) const {
    f64x8 low, high;
    double z[8];
    read<false>(row.logits.x, at, 1, low, high);
    store(z, low);
    return z[0];
  }

  // The loss of a target, and its gradient. A masked target has the loss +∞ and no gradient.
  struct TargetResult {
    double loss;
    float gradient;
    bool is_visible;
  };
  TargetResult result_of_target(size_t at) const {
    const Logits<float, Source>& z = row.logits;
    if (z.mask && !mask_lanes(z.mask, z.layout, z.mask_at + at, 1)) return {infinity<double>(), 0, false};
    double loss = log - (logit(at) - top) / row.double_scale->temperature, q[8];
    f64x8 t;
    store(q, exp_below<true>(ExpVector<double>(ExpScale<double>::of(1), 0), splat(-loss), t));
    double slope = q[0] * pow2(-ExpTraits<double>::kBias) / ExpTraits<double>::kG - 1;
    if (has_peak && at == peak_at) slope = -others / (1 + others);  // no cancellation
    return {loss, (float)(slope / row.double_scale->temperature), true};
  }

  // Writes all results of a row that is not ignored. log_sum, and target with loss, may be null. Returns false if
  // log_row_sum.h must measure the row.
  bool measure_and_write(double* log_sum, const int32_t* target, double* loss) {
    if (!measure()) return run.stopped();
    if (log_sum) *log_sum = log_sum_exp();
    TargetResult result = {0, 0, false};
    if (target) {
      result = result_of_target((size_t)*target);
      *loss = result.loss;
    }
    if (logs || gradient) write();
    if (gradient && result.is_visible) write_at(gradient, (size_t)*target, result.gradient);
    return true;
  }
};

}  // namespace
