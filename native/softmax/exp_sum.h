// The two passes of softmax as operators of their own, for a row whose chunks lie in several places:
//
//   exp_sum     writes the sum of each row as a state (state.h), which may be merged with states of other chunks
//   normalize   writes the probabilities of a chunk from the state of its whole row
//
// normalize does not know how the row was summed. It takes the exponent of a block from the block's own maximum, and
// reads a block whose logits are out of reach as distances from that. Scaling by 2^k is exact, so the results have the
// same bits as softmax.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "columns.h"
#include "row_sum.h"
#include "state.h"
#include "write_row.h"

namespace {

// Source and Out: pointers to floats or to halves (formats.h).
template <class T, class Source = const T*, class Out = T*> struct PartialSoftmax {
  using Row = LogitRow<T, Source>;
  const Run& run;
  Source x;
  Out out;          // of normalize
  bool may_stream;  // `out` is not x, and not halves
  double* mantissa;
  int32_t* exponent;
  size_t rows, cols;
  Extras<T> extras;
  ExpScale<T> scale;
  ExpScale<double> double_scale;
  Sum* part_sums = nullptr;

  // Returns n elements of row i as a row of their own.
  Row chunk(size_t i, size_t from, size_t n) const {
    Logits<T, Source> logits = extras.row(x + i * cols, i, cols);
    logits.x = logits.x + from;
    logits.mask_at += from;
    if (logits.bias) logits.bias += from;
    return Row(logits, n, &scale, &double_scale);
  }
  Parts parts() const { return {cols}; }

  // ---- exp_sum

  // Returns the state of elements [from, to). It depends on nothing outside of them, so a row may be cut anywhere.
  Sum sum_chunk(size_t i, size_t from, size_t to) const {
    Row row = chunk(i, from, to - from);
    BlockSum blocks[kSuper / kBlock];
    Sum s;
    if (!sum_part<false>(row, 0, row.n, (T*)nullptr, blocks, s)) {
      if (row.find_top()) sum_part<false>(row, 0, row.n, (T*)nullptr, blocks, s);
      else {
        T top = maximum<T>(row.logits, 0, row.n);
        s = {has_nan<T>(row.logits, 0, row.n) ? not_a_number<double>() : top > 0 ? (double)top : 0, 0, 0};
      }
    }
    return to_canonical(to_state<T>(s), octaves_taken_off(row));
  }
  // Rows of one part, a row a task.
  struct StateRows {
    using Memory = NoMemory;
    const PartialSoftmax& s;
    void row(const Run&, Memory&, size_t i) const {
      store_state(s.sum_chunk(i, 0, s.cols), s.mantissa + i, s.exponent + i);
    }
  };
  static void sum_task(void* self, size_t task) {
    PartialSoftmax& s = *(PartialSoftmax*)self;
    size_t part = task % s.parts().count(), row = task / s.parts().count();
    if (!s.run.stopped()) s.part_sums[task] = s.sum_chunk(row, part * kSuper, s.parts().end(part));
  }
  void write_states() {
    Run r = for_bytes(run, rows * cols * sizeof(T));
    if (cols <= kSuper) return share_rows(r, rows, cols, StateRows{*this});
    const size_t parts = this->parts().count();
    LongRow memory(run, rows * parts * sizeof(Sum));
    part_sums = (Sum*)memory.data;
    r.parallel(rows * parts, sum_task, this);
    for (size_t i = 0; i < rows && !run.stopped(); i++) {
      Sum total = kNothing;
      for (size_t part = 0; part < parts; part++) total = merge(total, part_sums[i * parts + part]);
      store_state(to_canonical(total, {}), mantissa + i, exponent + i);
    }
  }

  // ---- normalize

  // Writes elements [from, to) of row i. A state that is not ordinary makes them NaN.
  void write(size_t i, size_t from, size_t to) const {
    const Out y = out + i * cols;
    if (!is_ordinary(mantissa[i]))
      return fill_visible(chunk(i, from, to - from).logits, y + from, to - from, not_a_number<T>());
    bool is_streaming = cols * sizeof(T) >= run.plan.stream_bytes && may_stream;
    for (size_t b = from; b < to && !run.stopped(); b += kBlock)
      write_one_block(chunk(i, b, to - b < kBlock ? to - b : kBlock), i, y + b, is_streaming);
  }
  // Writes row i if its sum is 0, else returns false. It reads the whole row before it writes: `out` may be x.
  SELDOM bool write_empty_row(size_t i) const {
    if (mantissa[i] != 0) return false;
    const Logits<T, Source> row = chunk(i, 0, cols).logits;
    fill_visible(row, out + i * cols, cols, masked_to_nothing(row, cols) ? (T)0 : not_a_number<T>());
    return true;
  }
  ALWAYS void write_one_block(Row row, size_t i, Out y, bool is_streaming) const {
    if (!row.find_top()) {  // no logit above −∞; or a NaN or +∞, which does not belong to an ordinary state
      bool is_nan = maximum<T>(row.logits, 0, row.n) > 0 || has_nan<T>(row.logits, 0, row.n);
      return fill_visible(row.logits, y, row.n, is_nan ? not_a_number<T>() : (T)0);
    }
    Sum total = to_relative<T>(mantissa[i], exponent[i], octaves_taken_off(row));
    Reciprocal<T> r(total);
    BlockSum block = {(int32_t)row.top_octave - ExpTraits<T>::kBias, row.is_plain && is_inside_window(row)};
    // The peak is found before the block is written: `out` may be x.
    bool has_peak = row.top_octave >= (double)r.octave - 2 && find_peak(row, block.exponent, total);
    write_part(row, 0, row.n, y, &block, r, is_streaming);
    if (has_peak) write_at(y, total.peak_at, r.quotient(total.peak, total.peak_rest));
  }
  struct Negated {
    Plain<T, Source> x;
    ALWAYS auto at(size_t i) const { return sub(splat((T)0), x.at(i)); }
    ALWAYS auto at(size_t i, size_t n) const { return sub(splat((T)0), x.at(i, n)); }
  };
  // Whether no value lies below the window around the row's maximum.
  static bool is_inside_window(const Row& row) {
    T least = -maximum<T>(Negated{row.source()}, 0, row.n);
    return row.scale->octaves * least >= row.top_octave - (ExpTraits<T>::kTop / 8 - 2);
  }
  // Finds the row's largest term, on the exponent of the total. Returns false if it is not most of the total.
  static bool find_peak(const Row& row, int32_t exponent, Sum& total) {
    constexpr size_t W = ExpTraits<T>::kLanes;
    T top = maximum<T>(row.logits, 0, row.n);
    size_t found = 0;
    for (size_t i = 0; i < row.n; i += W) {
      size_t n = row.n - i < W ? row.n - i : W;
      auto v = n < W ? row.logits.at(i, n) : row.logits.at(i);
      uint32_t lanes = ~lanes_above(splat(top), high_part(v)) & ((1u << n) - 1);
      for (; lanes; lanes &= lanes - 1, found++) {
        if (found) return false;  // two equal terms: neither is most of the total
        size_t lane = lowest_bit(lanes);
        compute_peak(row, v, i, lane, total);
        total.peak_at = i + lane;
      }
    }
    double f = pow2_or_zero((int64_t)exponent - total.exponent + 1000) * pow2(-1000);
    total.peak *= f;
    total.peak_rest *= f;
    return total.peak > 0.75 * total.mantissa;
  }
  static void compute_peak(const LogitRow<float, Source>& row, Two<f32x16>, size_t at, size_t lane, Sum& total) {
    double q[8];
    f64x8 t;
    store(q, exp_below<false>(ExpVector<double>(*row.double_scale, row.top_octave),
                              splat(row.logits.exactly(at + lane)), t));
    total.peak = q[0] * kDoubleToFloat;
    total.peak_rest = 0;
  }
  static void compute_peak(const LogitRow<double, Source>& row, Two<f64x8> v, size_t, size_t lane, Sum& total) {
    double q[8], r[8];
    f64x8 t, rest;
    store(q, exp_below<false>(ExpVector<double>(*row.scale, row.top_octave), v, t, &rest));
    store(r, rest);
    total.peak = q[lane];
    total.peak_rest = r[lane];
  }
  // Rows of one part, a row a task.
  struct ProbabilityRows {
    using Memory = NoMemory;
    const PartialSoftmax& s;
    void row(const Run&, Memory&, size_t i) const {
      if (s.mantissa[i] != 0 || !s.write_empty_row(i)) s.write(i, 0, s.cols);
    }
  };
  static void write_task(void* self, size_t task) {
    PartialSoftmax& s = *(PartialSoftmax*)self;
    size_t part = task % s.parts().count(), row = task / s.parts().count();
    if (!s.run.stopped() && s.mantissa[row] != 0) s.write(row, part * kSuper, s.parts().end(part));
  }
  void write_probabilities() {
    Run r = for_bytes(run, rows * cols * sizeof(T));
    if (cols <= kSuper) return share_rows(r, rows, cols, ProbabilityRows{*this});
    for (size_t i = 0; i < rows && !run.stopped(); i++) write_empty_row(i);
    r.parallel(rows * parts().count(), write_task, this);
  }
};

template <class T>
void exp_sum_floats(const Run& run, const T* x, double* mantissa, int32_t* exponent, const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  Extras<T> extras(rows);
  ExpScale<T> scale = ExpScale<T>::of_call(rows.temperature);
  if (e.inner > 1)
    return Columns<T>{run, x, nullptr, mantissa, exponent, e.outer, e.cols, e.inner, scale, extras}.run_tiles();
  ExpScale<double> double_scale = ExpScale<double>::of_call(scale.temperature);
  PartialSoftmax<T>{run, x, nullptr, false, mantissa, exponent, e.outer, e.cols, extras, scale, double_scale}
      .write_states();
}

// The long rows of a call on halves, read and written where they lie.
using LongHalves = PartialSoftmax<float, AnyHalves<const uint16_t>, AnyHalves<uint16_t>>;
LongHalves long_halves(const HalfCall& call, const uint16_t* x, uint16_t* out, double* mantissa, int32_t* exponent) {
  const Extent& e = call.rows.extent;
  const ExpScale<float> scale = ExpScale<float>::of_call(call.rows.temperature);
  const Extras<float> extras(call.part(0, e.outer));
  return {call.run,
          {x, &call.format},
          {out, &call.format},
          false,
          mantissa,
          exponent,
          e.outer,
          e.cols,
          extras,
          scale,
          ExpScale<double>::of_call(scale.temperature)};
}
void exp_sum_halves(const HalfCall& call, const uint16_t* x, double* mantissa, int32_t* exponent) {
  if (call.run.stopped()) return;
  if (call.has_long_rows()) return long_halves(call, x, nullptr, mantissa, exponent).write_states();
  in_floats(call, x, nullptr, {}, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) {
    size_t row = call.row_index(o);
    exp_sum_floats<float>(r, in, mantissa + row, exponent + row, call.part(o, n));
  });
}
template <class X, class Y> void exp_sum(const Run& run, const Stored<X>* x, double* mantissa, int32_t* exponent,
                                         const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) exp_sum_halves(HalfCall(kFormat<X>, run, rows), x, mantissa, exponent);
  else exp_sum_floats(run, x, mantissa, exponent, rows);
}

template <class T> void normalize_floats(const Run& run, const T* x, T* out, const double* mantissa,
                                         const int32_t* exponent, const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  Extras<T> extras(rows);
  ExpScale<T> scale = ExpScale<T>::of_call(rows.temperature);
  double* m = const_cast<double*>(mantissa);
  int32_t* exp = const_cast<int32_t*>(exponent);
  if (e.inner > 1) return Columns<T>{run, x, out, m, exp, e.outer, e.cols, e.inner, scale, extras}.run_tiles();
  ExpScale<double> double_scale = ExpScale<double>::of_call(scale.temperature);
  PartialSoftmax<T>{run, x, out, x != out, m, exp, e.outer, e.cols, extras, scale, double_scale}.write_probabilities();
}
void normalize_halves(const HalfCall& call, const uint16_t* x, HalfResult to, const double* mantissa,
                      const int32_t* exponent) {
  if (call.run.stopped()) return;
  if (call.has_long_rows() && to.halves)
    return long_halves(call, x, to.halves, const_cast<double*>(mantissa), const_cast<int32_t*>(exponent))
        .write_probabilities();
  in_floats(call, x, nullptr, to, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
    size_t row = call.row_index(o);
    normalize_floats<float>(r, in, result, mantissa + row, exponent + row, call.part(o, n));
  });
}
template <class X, class Y> void normalize(const Run& run, const Stored<X>* x, Stored<Y>* out, const double* mantissa,
                                           const int32_t* exponent, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) normalize_halves(HalfCall(kFormat<X>, run, rows), x, out, mantissa, exponent);
  else normalize_floats(run, x, out, mantissa, exponent, rows);
}

}  // namespace
