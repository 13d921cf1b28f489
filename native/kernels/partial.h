// Partial softmax: the sums of rows as states, and the probabilities of a chunk from the state of its whole row. The two
// passes of softmax.h, with a way out between them: in it goes what is known of a row here, out comes what is known everywhere.
//
// normalize knows nothing of how the row was summed. A block's exponent comes from its own maximum, and a block whose logits
// are out of reach is read as their distances from it. Scaling by 2^k is exact, so the bits are those of softmax.
#pragma once
#include "softmax.h"
#include "state.h"

namespace {

// Rows, given to threads one part, or as many short ones as make up for it, at a time.
template <class T> struct Partial {
  const Run& run;
  const T* x;
  T* out;  // of normalize
  double* mantissa;
  int32_t* exponent;
  size_t rows, cols;
  ExpScale<T> scale;
  Extras<T> extras;
  ExpScale<double> fine;
  Sum* part_sums = nullptr;

  Run for_bytes(size_t bytes) const {
    Run r = run;
    if (bytes < run.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    return r;
  }
  size_t rows_a_task() const { return cols < kSuper / 8 ? kSuper / 8 / (cols + 1) + 1 : 1; }

  // A row from `from` on, as if it were one.
  Row<T> piece(size_t i, size_t from, size_t n) const {
    Logits<T> logits = extras.row(x + i * cols, i, cols);
    logits.x += from, logits.mask_at += from;
    if (logits.bias) logits.bias += from;
    return Row<T>(logits, n, &scale, &fine);
  }
  size_t parts() const { return (cols + kSuper - 1) / kSuper; }
  size_t end(size_t part) const { return part + 1 < parts() ? (part + 1) * kSuper : cols; }

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
  static void short_sums(void* self, size_t task) {
    Partial& s = *(Partial*)self;
    size_t from = task * s.rows_a_task(), end = from + s.rows_a_task();
    for (size_t i = from; i < s.rows && i < end && !s.run.stopped(); i++) put_state(s.part_sum(i, 0, s.cols), s.mantissa + i, s.exponent + i);
  }
  static void one_part_sum(void* self, size_t task) {
    Partial& s = *(Partial*)self;
    size_t part = task % s.parts();
    if (!s.run.stopped()) s.part_sums[task] = s.part_sum(task / s.parts(), part * kSuper, s.end(part));
  }
  void sums() {
    Run r = for_bytes(rows * cols * sizeof(T));
    if (cols <= kSuper) return r.parallel((rows + rows_a_task() - 1) / rows_a_task(), short_sums, this);
    part_sums = (Sum*)run.allocate(rows * parts() * sizeof(Sum));
    r.parallel(rows * parts(), one_part_sum, this);
    for (size_t i = 0; i < rows && !run.stopped(); i++) {
      Sum total = kNothing;
      for (size_t part = 0; part < parts(); part++) total = merge(total, part_sums[i * parts() + part]);
      put_state(canonical(total, {}), mantissa + i, exponent + i);
    }
    run.release(part_sums);
  }

  // ---- probabilities
  void write(size_t i, size_t from, size_t to) const {
    T* y = out + i * cols;
    if (!ordinary(mantissa[i])) return fill(y + from, to - from, mantissa[i] == 0 && nothing(piece(i, 0, cols).logits) ? 0 : not_a_number<T>());
    bool streaming = cols * sizeof(T) >= run.plan.stream_bytes && x != out;
    for (size_t b = from; b < to && !run.stopped(); b += kBlock) write_block_of(piece(i, b, to - b < kBlock ? to - b : kBlock), i, y + b, streaming);
  }
  // As in softmax: nothing but −∞ is no fault where a mask was given.
  bool nothing(const Logits<T>& row) const { return row.mask && maximum<T>(row, 0, cols) == -infinity<T>() && !has_nan<T>(row, 0, cols); }
  void write_block_of(Row<T> row, size_t i, T* y, bool streaming) const {
    if (!row.look()) {  // nothing that counts, or what no ordinary state has in it
      bool bad = maximum<T>(row.logits, 0, row.n) > 0 || has_nan<T>(row.logits, 0, row.n);
      return fill(y, row.n, bad ? not_a_number<T>() : 0);
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
  static void short_writes(void* self, size_t task) {
    Partial& s = *(Partial*)self;
    size_t from = task * s.rows_a_task(), end = from + s.rows_a_task();
    for (size_t i = from; i < s.rows && i < end && !s.run.stopped(); i++) s.write(i, 0, s.cols);
  }
  static void write_one_part(void* self, size_t task) {
    Partial& s = *(Partial*)self;
    size_t part = task % s.parts();
    if (!s.run.stopped()) s.write(task / s.parts(), part * kSuper, s.end(part));
  }
  void writes() {
    Run r = for_bytes(rows * cols * sizeof(T));
    if (cols <= kSuper) r.parallel((rows + rows_a_task() - 1) / rows_a_task(), short_writes, this);
    else r.parallel(rows * parts(), write_one_part, this);
  }
};

// The same along an axis that is not the last, each lane a row of its own (columns.h).
template <class T, bool kSum> struct PartialColumns : SoftmaxColumns<T> {
  using Base = SoftmaxColumns<T>;
  using V = typename Base::V;
  static constexpr size_t W = Base::W;
  double* mantissa;
  int32_t* exponent;

  static void tile(void* self, size_t index) {
    PartialColumns& s = *(PartialColumns*)self;
    if (!s.run.stopped()) s.tile(index / s.tiles(), index % s.tiles() * W);
  }
  void tile(size_t o, size_t at) {
    size_t n = this->inner - at < W ? this->inner - at : W, first = o * this->inner + at;
    const ExpScale<T>& scale = this->scale;
    uint32_t usual = 0, infinite = 0, empty = 0, finite = 0;
    V top = splat(-infinity<T>()), zero = splat((T)0), k1 = splat(scale.scale1), k2 = splat(scale.scale2);
    for (size_t c = 0; c < this->cols; c++) top = max_skip_nan(top, this->logit(o, c, at, n).x);
    T tops[W], seconds[W], constant[W] = {}, down[W] = {}, hi[W] = {}, lo[W] = {};
    Octaves octaves[W];
    store(tops, top);
    for (size_t i = 0; i < W; i++) {
      if (tops[i] - tops[i] == 0) finite |= 1u << i;
      else (tops[i] > 0 ? infinite : empty) |= 1u << i, tops[i] = 0;
    }
    V minus = sub(zero, load(tops)), second = zero;
    auto scaled = [&](Two<V> z) ALWAYS_LAMBDA { return number(Two<V>{mul(mul(z.x, k1), k2), mul(mul(z.low, k1), k2)}); };
    auto from_top = [&](size_t c) ALWAYS_LAMBDA {
      Two<V> z = number(this->logit(o, c, at, n));
      return difference(difference(scale.scale1 < 1 ? scaled(z) : z, minus), second);
    };
    if (scale.scale1 < 1) minus = mul(mul(minus, k1), k2);
    if (this->extras.bias.data) {
      V above = splat(-infinity<T>());
      for (size_t c = 0; c < this->cols; c++) above = max_skip_nan(above, from_top(c).x);
      second = sub(zero, select_bits(above, zero, finite));
    }
    store(tops, sub(zero, minus)), store(seconds, sub(zero, second));
    double up = scale.scale1 > 1 ? (double)scale.scale1 * scale.scale2 : 1;
    for (size_t i = 0; i < n; i++) octaves[i] = Octaves::of(tops[i] * up, seconds[i] * up, scale.temperature);
    for (size_t i = 0; !kSum && i < n; i++) {
      double m = mantissa[first + i];
      constant[i] = m == 0 && this->extras.layout != kNoMask && (empty >> i & 1) && !nan_in_lane(o, at, i) ? 0 : not_a_number<T>();
      if (!ordinary(m)) continue;
      usual |= 1u << i;
      Scaler<T> s(Reciprocal<T>(relative<T>(m, exponent[first + i], octaves[i])), -ExpTraits<T>::kBias);
      T lanes[W];
      store(lanes, s.first), down[i] = lanes[0];
      store(lanes, s.hi), hi[i] = lanes[0];
      store(lanes, s.lo), lo[i] = lanes[0];
    }
    V d0 = load(down), h = load(hi), l = load(lo), k = load(constant);
    const ExpVector<T> e(scale, 0);
    LaneTotal<T> total;
    for (size_t c = 0; c < this->cols; c++) {
      Two<V> d = from_top(c);
      if (scale.scale1 > 1) d = scaled(d);
      V t, rest, q = exp_below<false>(e, d, t, &rest);
      if (kSum) total.add_both(q, rest);
      else {
        q = mul(q, d0);
        V y = fma(q, h, mul(q, l));  // no number where the state is not of this row; which NaN depends on the processor
        this->put(o, c, at, n, select_bits(y, k, usual & lanes_above(y, splat((T)-1))));
      }
    }
    if (!kSum) return;
    double sums[W], rests[W];
    total.sums(sums, rests);
    for (size_t i = 0; i < n; i++) {
      Sum s = to_state<T>(Sum{sums[i], sums[i] == sums[i] ? rests[i] : 0, -ExpTraits<T>::kBias});
      // ∞ − ∞ gives NaN where there may be none but a +∞
      if ((infinite >> i & 1) && !nan_in_lane(o, at, i)) s.mantissa = infinity<double>();
      put_state(canonical(s, octaves[i]), mantissa + first + i, exponent + first + i);
    }
  }
  bool nan_in_lane(size_t o, size_t at, size_t lane) const {
    bool nan = false;
    for (size_t c = 0; c < this->cols; c++) {
      T v[W];
      store(v, this->logit(o, c, at + lane, 1).x);
      nan |= v[0] != v[0];
    }
    return nan;
  }
  void go() {
    Run r = this->run;
    if (this->outer * this->cols * this->inner * sizeof(T) < r.plan.parallel_bytes) r.parallel = serial, r.threads = 1;
    r.parallel(this->outer * this->tiles(), tile, this);
  }
};

template <class T>
void exp_sum(const Run& run, const T* x, double* mantissa, int32_t* exponent, size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout, Slice<const T> bias) {
  if (outer * cols * inner == 0) return;
  Extras<T> extras = {mask, layout, bias};
  ExpScale<T> scale = ExpScale<T>::of(temperature);
  if (inner == 1) Partial<T>{run, x, nullptr, mantissa, exponent, outer, cols, scale, extras, ExpScale<double>::of(scale.temperature)}.sums();
  else PartialColumns<T, true>{{run, x, nullptr, outer, cols, inner, scale, extras}, mantissa, exponent}.go();
}
template <class T>
void normalize(const Run& run, const T* x, T* out, const double* mantissa, const int32_t* exponent, size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout, Slice<const T> bias) {
  if (outer * cols * inner == 0) return;
  Extras<T> extras = {mask, layout, bias};
  ExpScale<T> scale = ExpScale<T>::of(temperature);
  double* m = const_cast<double*>(mantissa);
  int32_t* e = const_cast<int32_t*>(exponent);
  if (inner == 1) Partial<T>{run, x, out, m, e, outer, cols, scale, extras, ExpScale<double>::of(scale.temperature)}.writes();
  else PartialColumns<T, false>{{run, x, out, outer, cols, inner, scale, extras}, m, e}.go();
}

#define PARTIAL(suffix, T)                                                                                             \
  void exp_sum_##suffix(const Run& run, const T* x, double* mantissa, int32_t* exponent, size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout, Slice<const T> bias) { \
    exp_sum<T>(run, x, mantissa, exponent, outer, cols, inner, temperature, mask, layout, bias);                       \
  }                                                                                                                    \
  void normalize_##suffix(const Run& run, const T* x, T* out, const double* mantissa, const int32_t* exponent, size_t outer, size_t cols, size_t inner, double temperature, const uint8_t* mask, int32_t layout, Slice<const T> bias) { \
    normalize<T>(run, x, out, mantissa, exponent, outer, cols, inner, temperature, mask, layout, bias);                \
  }
PARTIAL(f32, float)
PARTIAL(f64, double)
#undef PARTIAL

}  // namespace
