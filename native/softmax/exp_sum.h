// Partial softmax: the sums of rows as states, and the probabilities of a chunk from the state of its whole row. The two
// passes of softmax.h, with a way out between them: in it goes what is known of a row here, out comes what is known everywhere.
//
// normalize knows nothing of how the row was summed. A block's exponent comes from its own maximum, and a block whose logits
// are out of reach is read as their distances from it. Scaling by 2^k is exact, so the bits are those of softmax.
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "columns.h"
#include "state.h"
#include "write_row.h"

namespace {

template <class T> struct Partial {
  const Run& run;
  const T* x;
  T* out;  // of normalize
  double* mantissa;
  int32_t* exponent;
  size_t rows, cols;
  Extras<T> extras;
  ExpScale<T> scale;
  ExpScale<double> fine;
  Sum* part_sums = nullptr;

  // A row from `from` on, as if it were one.
  Row<T> piece(size_t i, size_t from, size_t n) const {
    Logits<T> logits = extras.row(x + i * cols, i, cols);
    logits.x += from, logits.mask_at += from;
    if (logits.bias) logits.bias += from;
    return Row<T>(logits, n, &scale, &fine);
  }
  Parts parts() const { return {cols}; }

  // ---- sums: each part's on its own, so that nothing depends on where a row is cut
  Sum part_sum(size_t i, size_t from, size_t to) const {
    Row<T> row = piece(i, from, to - from);
    Block blocks[kSuper / kBlock];
    Sum s;
    if (!sum_part<false>(row, 0, row.n, (T*)nullptr, blocks, s)) {
      if (row.look()) sum_part<false>(row, 0, row.n, (T*)nullptr, blocks, s);
      else {
        T m = maximum<T>(row.logits, 0, row.n);
        s = {has_nan<T>(row.logits, 0, row.n) ? not_a_number<double>() : m > 0 ? (double)m : 0, 0, 0};
      }
    }
    return canonical(to_state<T>(s), taken_off(row));
  }
  struct Sums {
    using Memory = NoMemory;
    const Partial& s;
    void row(const Run&, Memory&, size_t i) const { put_state(s.part_sum(i, 0, s.cols), s.mantissa + i, s.exponent + i); }
  };
  static void one_part_sum(void* self, size_t task) {
    Partial& s = *(Partial*)self;
    size_t part = task % s.parts().count(), row = task / s.parts().count();
    if (!s.run.stopped()) s.part_sums[task] = s.part_sum(row, part * kSuper, s.parts().end(part));
  }
  void sums() {
    Run r = for_bytes(run, rows * cols * sizeof(T));
    if (cols <= kSuper) return share_rows(r, rows, cols, Sums{*this});
    const size_t parts = this->parts().count();
    LongRow memory(run, rows * parts * sizeof(Sum));
    part_sums = (Sum*)memory.data;
    r.parallel(rows * parts, one_part_sum, this);
    for (size_t i = 0; i < rows && !run.stopped(); i++) {
      Sum total = kNothing;
      for (size_t part = 0; part < parts; part++) total = merge(total, part_sums[i * parts + part]);
      put_state(canonical(total, {}), mantissa + i, exponent + i);
    }
  }

  // ---- probabilities
  void write(size_t i, size_t from, size_t to) const {
    T* y = out + i * cols;
    if (!ordinary(mantissa[i])) return fill_visible(piece(i, from, to - from).logits, y + from, to - from, not_a_number<T>());
    bool streaming = cols * sizeof(T) >= run.plan.stream_bytes && x != out;
    for (size_t b = from; b < to && !run.stopped(); b += kBlock) write_block_of(piece(i, b, to - b < kBlock ? to - b : kBlock), i, y + b, streaming);
  }
  // Rows of sum 0 are seen whole before any of them is written, as `out` may be x. True: row i is one, and has been written.
  SELDOM bool write_empty(size_t i) const {
    if (mantissa[i] != 0) return false;
    const Logits<T> row = piece(i, 0, cols).logits;
    fill_visible(row, out + i * cols, cols, masked_to_nothing(row, cols) ? 0 : not_a_number<T>());
    return true;
  }
  ALWAYS void write_block_of(Row<T> row, size_t i, T* y, bool streaming) const {
    if (!row.look()) {  // nothing that counts, or what no ordinary state has in it
      bool bad = maximum<T>(row.logits, 0, row.n) > 0 || has_nan<T>(row.logits, 0, row.n);
      return fill_visible(row.logits, y, row.n, bad ? not_a_number<T>() : 0);
    }
    Sum total = relative<T>(mantissa[i], exponent[i], taken_off(row));
    Reciprocal<T> r(total);
    Block block = {(int32_t)row.top - ExpTraits<T>::kBias, row.plain && calm(row)};
    // What is most of the row must be found before it is written over, if out is x.
    bool most = row.top >= (double)r.octave - 2 && find_peak(row, block.exponent, total);
    write_part(row, 0, row.n, y, &block, r, streaming);
    if (most) y[total.peak_at] = r.quotient(total.peak, total.peak_rest);
  }
  struct Negated {
    Plain<T> x;
    ALWAYS auto at(size_t i) const { return sub(splat((T)0), x.at(i)); }
    ALWAYS auto at(size_t i, size_t n) const { return sub(splat((T)0), x.at(i, n)); }
  };
  // Whether nothing lies below the window around the row's maximum.
  static bool calm(const Row<T>& row) {
    T least = -maximum<T>(Negated{row.source()}, 0, row.n);
    return row.scale->octaves * least >= row.top - (ExpTraits<T>::kTop / 8 - 2);
  }
  // The row's largest term, if it is nearly all of the total, on the total's exponent.
  static bool find_peak(const Row<T>& row, int32_t exponent, Sum& total) {
    constexpr size_t W = ExpTraits<T>::kLanes;
    T most = maximum<T>(row.logits, 0, row.n);
    size_t found = 0;
    for (size_t i = 0; i < row.n; i += W) {
      size_t n = row.n - i < W ? row.n - i : W;
      auto v = n < W ? row.logits.at(i, n) : row.logits.at(i);
      uint32_t lanes = ~lanes_above(splat(most), high_part(v)) & ((1u << n) - 1);
      for (; lanes; lanes &= lanes - 1, found++) {
        if (found) return false;  // as large as another one
        size_t lane = lowest_bit(lanes);
        exact_term(row, v, i, lane, total);
        total.peak_at = i + lane;
      }
    }
    double f = pow2_or_zero((int64_t)exponent - total.exponent + 1000) * pow2(-1000);
    total.peak *= f, total.peak_rest *= f;
    return total.peak > 0.75 * total.mantissa;
  }
  static void exact_term(const Row<float>& row, Two<f32x16>, size_t at, size_t lane, Sum& total) {
    double q[8];
    f64x8 t;
    store(q, exp_below<false>(ExpVector<double>(*row.fine, row.top), splat(row.logits.exactly(at + lane)), t));
    total.peak = q[0] * kDoubleToFloat, total.peak_rest = 0;
  }
  static void exact_term(const Row<double>& row, Two<f64x8> v, size_t, size_t lane, Sum& total) {
    double q[8], r[8];
    f64x8 t, rest;
    store(q, exp_below<false>(ExpVector<double>(*row.scale, row.top), v, t, &rest)), store(r, rest);
    total.peak = q[lane], total.peak_rest = r[lane];
  }
  struct Writes {
    using Memory = NoMemory;
    const Partial& s;
    void row(const Run&, Memory&, size_t i) const {
      if (s.mantissa[i] != 0 || !s.write_empty(i)) s.write(i, 0, s.cols);
    }
  };
  static void write_one_part(void* self, size_t task) {
    Partial& s = *(Partial*)self;
    size_t part = task % s.parts().count(), row = task / s.parts().count();
    if (!s.run.stopped() && s.mantissa[row] != 0) s.write(row, part * kSuper, s.parts().end(part));
  }
  void writes() {
    Run r = for_bytes(run, rows * cols * sizeof(T));
    if (cols <= kSuper) return share_rows(r, rows, cols, Writes{*this});
    for (size_t i = 0; i < rows && !run.stopped(); i++) write_empty(i);
    r.parallel(rows * parts().count(), write_one_part, this);
  }
};

template <class T>
void exp_sum_floats(const Run& run, const T* x, double* mantissa, int32_t* exponent, const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  Extras<T> extras(rows);
  ExpScale<T> scale = ExpScale<T>::of_call(rows.temperature);
  if (e.inner > 1) return Columns<T>{run, x, nullptr, mantissa, exponent, e.outer, e.cols, e.inner, scale, extras}.go();
  ExpScale<double> fine = ExpScale<double>::of_call(scale.temperature);
  Partial<T>{run, x, nullptr, mantissa, exponent, e.outer, e.cols, extras, scale, fine}.sums();
}
void sum_halves(const HalfCall& call, const uint16_t* x, double* mantissa, int32_t* exponent) {
  in_floats(call, x, nullptr, {}, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) {
    size_t row = call.row_index(o);
    exp_sum_floats<float>(r, in, mantissa + row, exponent + row, call.part(o, n));
  });
}
template <class X, class Y>
void exp_sum(const Run& run, const Stored<X>* x, double* mantissa, int32_t* exponent,
             const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) sum_halves(HalfCall(kFormat<X>, run, rows), x, mantissa, exponent);
  else exp_sum_floats(run, x, mantissa, exponent, rows);
}

template <class T>
void normalize_floats(const Run& run, const T* x, T* out, const double* mantissa, const int32_t* exponent,
                      const LogitRows<T>& rows) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  Extras<T> extras(rows);
  ExpScale<T> scale = ExpScale<T>::of_call(rows.temperature);
  double* m = const_cast<double*>(mantissa);
  int32_t* exp = const_cast<int32_t*>(exponent);
  if (e.inner > 1) return Columns<T>{run, x, out, m, exp, e.outer, e.cols, e.inner, scale, extras}.go();
  ExpScale<double> fine = ExpScale<double>::of_call(scale.temperature);
  Partial<T>{run, x, out, m, exp, e.outer, e.cols, extras, scale, fine}.writes();
}
void normalize_halves(const HalfCall& call, const uint16_t* x, HalfResult to, const double* mantissa,
                      const int32_t* exponent) {
  in_floats(call, x, nullptr, to, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
    size_t row = call.row_index(o);
    normalize_floats<float>(r, in, result, mantissa + row, exponent + row, call.part(o, n));
  });
}
template <class X, class Y>
void normalize(const Run& run, const Stored<X>* x, Stored<Y>* out, const double* mantissa, const int32_t* exponent,
               const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) normalize_halves(HalfCall(kFormat<X>, run, rows), x, out, mantissa, exponent);
  else normalize_floats(run, x, out, mantissa, exponent, rows);
}

}  // namespace
