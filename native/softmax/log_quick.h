// The logarithmic operators on float rows, quickly: with their sum as softmax has it, in floats, and the rest in doubles.
//
//   logSoftmax    y = z / T − log Σ exp(z / T)                 no term is more than an eighth of Σ; z = x + bias
//                 y = (z − top) / T − log(1 + S)                S: Σ without its largest term, relative to that one
//
// The float terms have an error of 1.33 · 2^-24 if it is the same in all of them, as it is if they are equal. In the first
// case y lies 2.07 below 0 at the least, so that this and what doubles lose of a z of 22,000 temperatures is less than half a
// last place of y. In the second, sums know their others better (heavy.h), or say that they do not. Rows of which they do not,
// rows that are not ordinary, short rows and double ones are for log_sum.h, which is exact.
#pragma once
#include "../math/log.h"
#include "../rows/share_rows.h"
#include "state.h"
#include "write_row.h"

namespace {

struct QuickRow {
  const Run& run;
  Row<float> row;
  float *logs, *gradient;  // each where it is wanted
  Sum* sums;               // one a part
  Block* blocks;           // one a block
  double top = 0, log = 0, others = 0;  // logSoftmax is (z − top) / T − log
  size_t top_at = 0;
  bool towers = false;
  Reciprocal<float> share = {{1, 0, 0}};  // 1 / (T Σ)

  Parts parts() const { return {row.n}; }

  static void sum(void* self, size_t i) {
    QuickRow& s = *(QuickRow*)self;
    if (s.run.stopped()) return;
    if (!sum_part<false>(s.row, i * kSuper, s.parts().end(i), (float*)nullptr, s.blocks + i * kSuper / kBlock, s.sums[i])) s.sums[i] = kOutOfReach;
  }
  // False: this is no such row.
  bool measure() {
    if (row.n <= kShort || row.scale->scaled) return false;
    row.parted = true;
    parts().each(run, sum, this);
    if (run.stopped() || !all_reached(sums, parts().count())) return false;
    Sum total = merge_states<float>(sums, parts().count());
    if (!ordinary(total.mantissa)) return false;
    double peak = total.peak / ExpTraits<float>::kG;
    towers = peak > total.mantissa / 8;
    if (towers) {
      others = total.others / peak, top_at = total.peak_at;
      if (!(others > 0x1p-100)) return false;  // what lies below a float's window may be part of it
      Pair of = log1p_pair(others, 0);
      top = logit(top_at), log = of.hi + of.lo;
    }
    double octaves = total.exponent + exponent_of(total.mantissa), m = with_exponent(total.mantissa, 0);
    if (!towers) {
      Pair of = log1p_pair(m - 1, 0);
      log = octaves * 0x1.62e42feep-1 + (of.hi + (octaves * 0x1.a39ef35793c76p-33 + of.lo));
    }
    total.mantissa *= row.fine->temperature;
    share = Reciprocal<float>(from_state<float>(total));
    return true;
  }

  // Logits as doubles, n of a vector's sixteen.
  template <bool kPlain> ALWAYS void read(size_t i, size_t n, f64x8& a, f64x8& b) const {
    const Logits<float>& z = row.logits;
    f32x16 v = n == 16 ? load(z.x + i) : load_n(z.x + i, n, 0);
    a = low_f64(v), b = high_f64(v);
    if (kPlain) return;
    if (z.bias) {
      v = n == 16 ? load(z.bias + i) : load_n(z.bias + i, n, 0);
      a = add(a, low_f64(v)), b = add(b, high_f64(v));
    }
    if (!z.mask) return;
    uint32_t lanes = mask_lanes(z.mask, z.layout, z.mask_at + i, n);
    f64x8 hidden = splat(-infinity<double>());
    a = select_bits(a, hidden, lanes), b = select_bits(b, hidden, lanes >> 8);
  }
  template <bool kPlain> void write_logs(size_t from, size_t to) const {
    const f64x8 inverse = splat(1 / row.fine->temperature), most = splat(top), minus = splat(-log);
    auto value = [&](size_t i, size_t n) ALWAYS_LAMBDA {
      f64x8 a, b;
      read<kPlain>(i, n, a, b);
      return narrow(fma(sub(a, most), inverse, minus), fma(sub(b, most), inverse, minus));
    };
    size_t i = from;
    for (; i + 64 <= to; i += 64)
      for (size_t j = 0; j < 64; j += 16) store(logs + i + j, value(i + j, 16));
    for (; i + 16 <= to; i += 16) store(logs + i, value(i, 16));
    if (i < to) store_n(logs + i, value(i, to - i), to - i);
  }
  static void write(void* self, size_t part) {
    const QuickRow& s = *(const QuickRow*)self;
    if (s.run.stopped()) return;
    size_t from = part * kSuper;
    if (s.logs) s.row.plain ? s.write_logs<true>(from, s.parts().end(part)) : s.write_logs<false>(from, s.parts().end(part));
    if (s.gradient) write_part(s.row, from, s.parts().end(part), s.gradient, s.blocks + from / kBlock, s.share, false);
  }
  void write() {
    parts().each(run, write, this);
    if (gradient && towers) gradient[top_at] = (float)(1 / ((1 + others) * row.fine->temperature));
  }
  double log_sum_exp() const { return top / row.fine->temperature + log; }
  double logit(size_t at) const {
    f64x8 a, b;
    double z[8];
    read<false>(at, 1, a, b);
    store(z, a);
    return z[0];
  }

  struct Target { double loss; float gradient; bool visible; };
  Target judge(size_t at) const {
    if (row.logits.mask && !mask_lanes(row.logits.mask, row.logits.layout, row.logits.mask_at + at, 1)) return {infinity<double>(), 0, false};
    double loss = log - (logit(at) - top) / row.fine->temperature, q[8];
    f64x8 t;
    store(q, exp_below<true>(ExpVector<double>(ExpScale<double>::of(1), 0), splat(-loss), t));
    double part = q[0] * pow2(-ExpTraits<double>::kBias) / ExpTraits<double>::kG - 1;
    if (towers && at == top_at) part = -others / (1 + others);  // nothing cancels
    return {loss, (float)(part / row.fine->temperature), true};
  }
};

}  // namespace
