// softmax: y = exp(x / T) / Σ exp(x / T), row by row.
//
// Two plans, the same bits: `store` writes q to the output while it sums and scales it in a second sweep (one exp
// an element: for rows in cache); `two-pass` reads the row twice and writes once (Dukhan & Ablavatski 2020: for
// rows beyond the cache, where bytes are dearer than exps), and writes past the caches. Both compute
// y = fma(q, hi, q · lo) with the reciprocal of the sum as hi + lo.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "columns.h"
#include "state.h"
#include "write_row.h"

namespace {

// One row, its parts of kSuper elements shared among threads if `run` has several.
template <class T> struct SoftmaxRow {
  const Run& run;
  Row<T> row;
  T* out;
  bool storing, streaming;
  Sum* sums;           // one a part
  Block* blocks;       // one a block
  Sum total = kNothing;

  ALWAYS Parts parts() const { return {row.n}; }

  static void sum(void* self, size_t i) {
    SoftmaxRow& s = *(SoftmaxRow*)self;
    if (s.run.stopped()) return;
    size_t from = i * kSuper;
    bool reached = s.storing ? sum_part<true>(s.row, from, s.parts().end(i), s.out, s.blocks + from / kBlock, s.sums[i])
                             : sum_part<false>(s.row, from, s.parts().end(i), (T*)nullptr, s.blocks + from / kBlock, s.sums[i]);
    if (!reached) s.sums[i] = kOutOfReach;
  }
  static void write(void* self, size_t i) {
    SoftmaxRow& s = *(SoftmaxRow*)self;
    if (s.run.stopped()) return;
    size_t part = s.run.threads > 1 || !s.storing ? i : s.parts().count() - 1 - i, from = part * kSuper;
    Reciprocal<T> r(s.total);
    if (s.storing) scale_part(s.out, from, s.parts().end(part), s.blocks + from / kBlock, r);
    else write_part(s.row, from, s.parts().end(part), s.out, s.blocks + from / kBlock, r, s.streaming);
  }

  void go() {
    bool finite = true;
    parts().each(run, sum, this);
    if (run.stopped()) return;
    if (!all_reached(sums, parts().count())) {
      finite = row.look();
      if (finite) parts().each(run, sum, this);
      if (run.stopped()) return;
    }
    if (finite && sizeof(T) == 4) total = from_state<T>(merge_states<T>(sums, parts().count()));
    else if (finite) for (size_t i = 0; i < parts().count(); i++) total = merge(total, sums[i]);
    if (total.mantissa > 0 && total.mantissa - total.mantissa == 0) {
      parts().each(run, write, this);
      // What is near 1 must not exceed it, nor miss it by a rounding of q: it is divided exactly.
      if (total.peak > 0.75 * total.mantissa) out[total.peak_at] = Reciprocal<T>(total).quotient(total.peak, total.peak_rest);
    } else {  // a NaN, a +∞, or nothing but −∞, which is no fault where a mask was given
      fill_visible(row.logits, out, row.n, masked_to_nothing(row.logits, row.n) ? 0 : not_a_number<T>());
    }
  }
};

// A short row is computed in double and never leaves the core: exact to half an ULP, and sooner done than what its
// largest terms would owe to a float sum. False: it is not an ordinary one.
template <class T> constexpr size_t kTiny = sizeof(T) == 4 ? 256 : 8;  // elements

template <class Source> SIMD_INLINE bool tiny_row(const ExpScale<double>& scale, const Source& x, float* y, size_t n) {
  f64x8 q[kTiny<float> / 8], top = splat(-infinity<double>()), total = splat(0.);
  size_t halves = (n + 7) / 8;  // vectors of eight doubles in use
  for (size_t i = 0; i < halves; i += 2) {
    size_t left = n - 8 * i;
    Partials::exact(left < 16 ? x.at(8 * i, left) : x.read(8 * i), q[i], q[i + 1]);
    top = max_skip_nan(max_skip_nan(top, q[i]), q[i + 1]);
  }
  // The largest is taken off, so that one exponent serves all rows. Differences of floats are exact enough, of far sums of two not.
  double peak = reduce_max(top);
  if (!Source::kOneNumber && !(8 * scale.octaves * (peak < 0 ? -peak : peak) <= ExpTraits<double>::kLimit)) return false;
  const f64x8 largest = splat(peak);
  const ExpVector<double> e(scale, 0);
  for (size_t i = 0; i < halves; i++) {
    q[i] = exp_for_float(e, sub(q[i], largest));
    total = add(total, n - 8 * i < 8 ? first_n(q[i], n - 8 * i) : q[i]);
  }
  double sum = reduce_add(total);
  if (sum - sum != 0) return false;
  f64x8 inverse = splat(1 / sum);
  for (size_t i = 0; i < halves; i += 2) {
    f32x16 v = narrow(mul(q[i], inverse), mul(q[i + 1], inverse));
    n - 8 * i < 16 ? store_n(y + 8 * i, v, n - 8 * i) : store(y + 8 * i, v);
  }
  return true;
}
template <class Source> SIMD_INLINE bool tiny_row(const ExpScale<double>& scale, const Source& x, double* y, size_t n) {
  auto v = x.at(0, n);
  double top = reduce_max(max_skip_nan(splat(-infinity<double>()), high_part(v)));
  if (!(8 * scale.octaves * (top < 0 ? -top : top) <= ExpTraits<double>::kLimit)) return false;
  const ExpVector<double> e(scale, nearest(top * scale.octaves));
  f64x8 t, rest, q = exp_below<false>(e, v, t, &rest);
  Total<double> total;
  total.add_both(first_n(q, n), first_n(rest, n));
  Sum sum = total.sum(0);
  if (sum.mantissa - sum.mantissa != 0) return false;
  Reciprocal<double> r(sum);
  f64x8 down = splat(pow2(-r.shift)), hi = splat(r.hi), lo = splat(r.lo);  // the largest q is near 2^513: no overflow
  q = mul(q, down), rest = mul(rest, down);
  store_n(y, fma(q, hi, fma(rest, hi, mul(q, lo))), n);
  return true;
}

template <class T> struct Softmax {
  const Run& run;
  const T* x;
  T* out;
  size_t rows, cols;
  Extras<T> extras;
  ExpScale<T> scale;
  ExpScale<double> fine;

  // What a row that is one part needs.
  struct Memory {
    Sum sum;
    Block blocks[kSuper / kBlock];
    explicit Memory(const Run&) {}
  };
  SoftmaxRow<T> long_row(const Run& r, size_t i, Sum* sums, Block* blocks) const {
    size_t bytes = cols * sizeof(T);
    bool storing = bytes < run.plan.two_pass_bytes && x != out;  // q must not take the place of an x that is needed again
    bool streaming = bytes >= run.plan.stream_bytes && x != out;
    Row<T> row(extras.row(x + i * cols, i, cols), cols, &scale, &fine);
    return {r, row, out + i * cols, storing, streaming, sums, blocks};
  }
  ALWAYS bool tiny(const T* from, T* to, size_t i) const {
    if (!extras.any()) return tiny_row(fine, Plain<T>{from}, to, cols);
    return tiny_row(fine, extras.row(from, i, cols), to, cols);
  }
  ALWAYS void row(const Run& alone, Memory& memory, size_t i) const {
    if (cols <= kTiny<T> && !scale.scaled && tiny(x + i * cols, out + i * cols, i)) return;
    long_row(alone, i, &memory.sum, memory.blocks).go();
  }
  void go() {
    Run r = for_bytes(run, rows * cols * sizeof(T));
    if (cols <= kSuper) return share_rows(r, rows, cols, *this);
    size_t parts = Parts{cols}.count(), blocks = (cols + kBlock - 1) / kBlock;
    LongRow memory(run, parts * sizeof(Sum) + blocks * sizeof(Block));
    Sum* sums = (Sum*)memory.data;
    for (size_t i = 0; i < rows && !run.stopped(); i++) long_row(r, i, sums, (Block*)(sums + parts)).go();
  }
};

template <class T> void softmax_floats(const Run& run, const T* x, T* out, const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  ExpScale<T> scale = ExpScale<T>::of_call(rows.temperature);
  if (e.inner > 1) return Columns<T>{run, x, out, nullptr, nullptr, e.outer, e.cols, e.inner, scale, Extras<T>(rows)}.go();
  ExpScale<double> fine = ExpScale<double>::of_call(scale.temperature);
  Softmax<T>{run, x, out, e.outer, e.cols, Extras<T>(rows), scale, fine}.go();
}

template <class X, class Y>
void softmax(const Run& run, const Stored<X>* x, Stored<Y>* out, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) map_halves(HalfCall(kFormat<X>, run, rows), x, out, softmax_floats<float>);
  else softmax_floats(run, x, out, rows);
}

}  // namespace
