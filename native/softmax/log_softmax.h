// What is read off a row's maximum and the logarithm of its sum (log_sum.h), all of it by one struct:
//
//   logSoftmax    y = (x − max) / T − log(1 + S)          two terms of one sign: nothing cancels
//   logSumExp     max / T + log(1 + S)
//   crossEntropy  −logSoftmax at the target; its gradient by x is (softmax − [is the target]) / T
#pragma once
#include "../rows/buffer.h"
#include "../rows/half_rows.h"
#include "../rows/share_rows.h"
#include "log_quick.h"
#include "log_rounded.h"

namespace {

template <class T> struct LogOperators {
  static constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
  const Run& run;
  LogRows<T> rows;
  size_t outer;
  T* logs;                 // each of these where it is wanted
  double *log_sums, *loss;
  const int32_t* targets;  // a position each row, −1 for a row that does not count
  T* gradient;
  ExpScale<T> scale;       // as softmax has it

  size_t tiles() const { return rows.across() ? (rows.inner + W - 1) / W : 1; }

  // Results of vectors [from, to): value(distance, part, lanes) of each part.
  template <bool kLean, class F> ALWAYS void write(const Measured<T>& m, T* out, size_t from, size_t to, F value) const {
    f64x8 top[kParts], low[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) top[p] = load(m.top + 8 * p), low[p] = load(m.low + 8 * p);
    for (size_t v = from; v < to; v++) {
      Two<f64x8> z[kParts];
      f64x8 y[kParts];
      uint32_t lanes = rows.template read<kLean>(m, v, z);
      UNROLL for (size_t p = 0; p < kParts; p++) y[p] = value(rows.template distance<kLean>(z[p], top[p], low[p]), p, lanes >> 8 * p);
      size_t n = rows.width(m, v);
      T* at = out + m.first + v * rows.step();
      n == W ? store(at, narrowed(y, T())) : store_n(at, narrowed(y, T()), n);
    }
  }
  template <bool kLean> void write_logs(const Measured<T>& m, size_t from, size_t to) const {
    const uint32_t wrong = m.wrong;
    const f64x8 inverse = splat(1 / rows.scale.temperature), temperature = splat(-rows.scale.temperature), zero = splat(0.), nan = splat(not_a_number<double>());
    f64x8 log_hi[kParts], log_lo[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) log_hi[p] = sub(zero, load(m.log_hi + 8 * p)), log_lo[p] = load(m.log_lo + 8 * p);
    write<kLean>(m, logs, from, to, [&](Two<f64x8> d, size_t p, uint32_t lanes) ALWAYS_LAMBDA {
      f64x8 y;
      if (kLean) y = fma(d.x, inverse, log_hi[p]);  // far better than a float needs
      else {
        f64x8 t = mul(d.x, inverse), rest = fma(t, temperature, d.x);
        if (!kLean) rest = add(rest, d.low);
        y = add(t, sub(zero_below(fma(rest, inverse, log_hi[p]), t, splat(-largest<double>())), log_lo[p]));
      }
      if (wrong) y = select_bits(nan, y, lanes & wrong >> 8 * p);  // what is masked is −∞ in any row
      return y;
    });
  }
  // 1 / (T (1 + S) g) for a factor g of the terms, where T is what a far temperature's power of two leaves of it.
  Pair share(const Measured<T>& m, size_t row, double g) const {
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
  template <bool kLean> void write_gradient(const Measured<T>& m, size_t from, size_t to) const {
    const uint32_t odd = m.odd;
    double hi[W], lo[W], instead[W];
    for (size_t i = 0; i < W; i++) {
      bool ignored = rows.across() && i < m.n && targets[row_of(m) + i] < 0;
      Pair s = ignored || (rows.across() && i >= m.n) ? Pair{0, 0} : share(m, i, LogRows<T>::kG);
      hi[i] = s.hi, lo[i] = s.lo, instead[i] = ignored || !(m.wrong >> i & 1) ? 0 : not_a_number<double>();
    }
    const ExpVector<double> e(rows.scale, 0);
    // A far temperature's power of two: the half that makes results smaller last, so that a subnormal one is rounded once.
    const bool is_small = rows.scale.scale1 < 1;
    const double first = rows.scale.scale1 / LogRows<T>::kOne, second = rows.scale.scale2 * rows.by_x;
    const double last = is_small ? second : 1;
    const f64x8 down = splat(is_small ? first : first * second), after = splat(last);
    f64x8 share_hi[kParts], share_lo[kParts];
    UNROLL for (size_t p = 0; p < kParts; p++) share_hi[p] = load(hi + 8 * p), share_lo[p] = load(lo + 8 * p);
    write<kLean>(m, gradient, from, to, [&](Two<f64x8> d, size_t p, uint32_t lanes) ALWAYS_LAMBDA {
      f64x8 t, rest, g;
      if (kLean) g = mul(mul(exp_below<false>(e, d.x, t), down), share_hi[p]);
      else {
        f64x8 q = exp_below<false>(e, d, t, &rest);
        g = mul(fma(q, share_hi[p], fma(rest, share_hi[p], mul(q, share_lo[p]))), down);
      }
      if (!kLean && last != 1) g = mul(g, after);
      if (odd) g = select_bits(load(instead + 8 * p), g, odd >> 8 * p);
      return !rows.extras.has_mask() ? g : select_bits(g, splat(0.), lanes);
    });
  }

  size_t row_of(const Measured<T>& m) const { return rows.across() ? m.first / (rows.cols * rows.inner) * rows.inner + m.first % rows.inner : m.first / rows.cols; }

  // What the target of a row has in place of what write_gradient gives it.
  struct Target { size_t at; T gradient; bool counts; };

  // The loss of row i of a tile.
  NEVER_INLINE Target judge(const Measured<T>& m, size_t i) const {
    size_t row = row_of(m) + i;
    loss[row] = 0;
    if (targets[row] < 0) return {0, 0, false};
    size_t target = (size_t)targets[row], v = rows.across() ? target : target / W, lane = rows.across() ? i : target % W;
    Two<f64x8> z[kParts];
    uint32_t lanes = rows.read_one(m, v, z);
    const ExpVector<double> e(rows.scale, 0);
    double x[W], low[W], q[W];
    UNROLL for (size_t p = 0; p < kParts; p++) {
      z[p] = rows.template distance<false>(z[p], load(m.top + 8 * p), load(m.low + 8 * p));
      store(x + 8 * p, z[p].x);
      store(low + 8 * p, z[p].low);
    }
    bool odd = m.odd >> i & 1, visible = lanes >> lane & 1;
    double T1 = rows.scale.temperature, a = x[lane] / T1, rest = (FUSED_F64(-a, T1, x[lane]) + low[lane]) / T1;
    loss[row] = !visible ? infinity<double>() : m.wrong >> i & 1 ? not_a_number<double>() : a - a != 0 ? -a : (m.log_hi[i] - a) + (m.log_lo[i] - rest);
    if (!gradient) return {0, 0, false};
    UNROLL for (size_t p = 0; p < kParts; p++) {
      f64x8 t;
      store(q + 8 * p, exp_below<false>(e, z[p], t));
    }
    bool is_top = x[lane] == 0 && low[lane] == 0;
    Pair others = {m.others[i], m.others_low[i]};  // the sum without it
    if (!is_top) others = two_sum_pair(others.hi, 1), others.lo += m.others_low[i] - q[lane] / LogRows<T>::kOne * LogRows<T>::kInverse;
    Pair part = share(m, i, 1);
    double scale1 = rows.scale.scale1, scale2 = rows.scale.scale2 * rows.by_x;
    if (is_top && others.hi < 0x1p-900) {  // a subnormal number, perhaps, where the gradient is none
      others = {m.sum[i] * LogRows<T>::kInverse, 0};
      scale1 *= scale2 / LogRows<T>::kOne, scale2 = 1;
    }
    double g = FUSED_F64(others.hi, part.hi, others.hi * part.lo + others.lo * part.hi) * scale1 * scale2;
    return {m.first + v * rows.step() + lane, (T)-g, visible && !odd};
  }

  struct Writing {
    const LogOperators& s;
    const Measured<T>& m;
    const Measuring<T>& measuring;
  };
  static void write_part(void* self, size_t part) {
    const Writing& w = *(Writing*)self;
    if (w.s.run.stopped()) return;
    size_t from = part * Measuring<T>::kVectors;
    size_t to = w.measuring.end(part);
    bool lean = w.s.rows.lean();
    if (w.s.logs) lean ? w.s.template write_logs<LogRows<T>::kMayBeLean>(w.m, from, to) : w.s.template write_logs<false>(w.m, from, to);
    if (w.s.gradient) lean ? w.s.template write_gradient<LogRows<T>::kMayBeLean>(w.m, from, to) : w.s.template write_gradient<false>(w.m, from, to);
  }
  // Row `row`, if it is one that goes quickly.
  bool quick(const Run& r, size_t row, Sum* sums, Block* blocks) const {
    if constexpr (sizeof(T) == 4) {
      size_t cols = rows.cols, at = row * cols;
      QuickRow q{r, Row<float>(rows.extras.row(rows.x + at, row, cols), cols, &scale, &rows.scale), logs ? logs + at : nullptr, gradient ? gradient + at : nullptr, sums, blocks};
      if (!q.measure()) return r.stopped();
      if (log_sums) log_sums[row] = q.log_sum_exp();
      QuickRow::Target target = {0, 0, false};
      if (targets) target = q.judge((size_t)targets[row]), loss[row] = target.loss;
      if (logs || gradient) q.write();
      if (gradient && target.visible) q.gradient[targets[row]] = target.gradient;
      return true;
    }
    return false;
  }
  void tile(const Run& r, size_t o, size_t at, Lanes<T>* lanes, Sum* sums, Block* blocks) const {
    Measured<T> m;
    m.first = o * rows.cols * rows.inner + at, m.n = !rows.across() ? 1 : rows.inner - at < W ? rows.inner - at : W;
    size_t row = row_of(m);
    if (targets && !rows.across() && targets[row] < 0) {
      loss[row] = 0;
      if (gradient) for (size_t c = 0; c < rows.cols; c++) gradient[m.first + c] = 0;
      return;
    }
    if (!rows.across() && quick(r, row, sums, blocks)) return;
    [[maybe_unused]] bool done = measured_tile(r, m, lanes);
    if constexpr (sizeof(T) == 8)
      if (!done) wide_tile(r, m, lanes);
  }
  // False: nothing has been done, as some rows are wide.
  bool measured_tile(const Run& r, Measured<T>& m, Lanes<T>* lanes) const {
    size_t row = row_of(m);
    Measuring<T> measuring{rows, r, m, lanes};
    if (!measuring.go()) return false;
    if (r.stopped()) return true;
    if constexpr (sizeof(T) == 4)
      if (log_sums || targets) measure_rounded(rows, r, m);
    if (log_sums) for (size_t i = 0; i < m.n; i++) log_sums[row + i] = rows.log_sum_exp(m, i);
    Target of[W];  // before the gradient takes the place of the logits
    if (targets) for (size_t i = 0; i < m.n; i++) of[i] = judge(m, i);
    Writing w{*this, m, measuring};
    if (logs || gradient) measuring.parts() < 2 ? write_part(&w, 0) : r.parallel(measuring.parts(), write_part, &w);
    if (gradient) for (size_t i = 0; i < m.n; i++) if (of[i].counts) gradient[of[i].at] = of[i].gradient;
    return true;
  }
  // The rows of a tile one by one.
  SELDOM void wide_tile(const Run& r, const Measured<T>& tile, Lanes<T>* lanes) const {
    for (size_t i = 0; i < tile.n; i++) {
      Measured<T> one;
      one.first = tile.first + i, one.n = 1;
      LogRows<T> looked_at = {rows.x, rows.cols, rows.inner, rows.scale, rows.extras, rows.temperature, 1, false};
      if (tile.wide >> i & 1) wide_row(r, one);
      else LogOperators{run, looked_at, outer, logs, log_sums, loss, targets, gradient, scale}.measured_tile(r, one, lanes);
    }
  }
  // A row from a copy: an eighth of its logits, at an eighth of the temperature.
  void wide_row(const Run& r, const Measured<T>& m) const {
    // Below, what is not at the maximum counts as nothing.
    const double eighth = rows.temperature < 0x1p-1000 ? 1 : 0.125;
    const size_t cols = rows.cols, row = row_of(m), step = rows.across() ? rows.inner : 1;
    const bool shared = rows.extras.bias.length == cols;
    Buffer<char> memory(run, cols * (2 * sizeof(T) + 1));
    T *x = (T*)memory.data, *bias = x + cols;
    if (!x) return;
    uint8_t* mask = (uint8_t*)(bias + cols);
    for (size_t c = 0, i = m.first; c < cols; c++, i += step) {
      x[c] = rows.x[i] / 8, bias[c] = rows.extras.bias.data ? rows.extras.bias.data[shared ? c : i] / 8 : 0;
      if (rows.extras.has_mask()) mask[c] = (uint8_t)rows.extras.lanes(i, c, 1, rows.across());
    }
    T *of_logs = logs ? x : nullptr, *of_gradient = gradient ? x : nullptr;
    const ExpScale<double> of_eighths = ExpScale<double>::of_call(rows.temperature * eighth);
    Extras<T> extras({mask, rows.extras.has_mask() ? (int32_t)kMaskBytes : (int32_t)kNoMask}, {bias, cols});
    LogRows<T> copy = {x, cols, 1, of_eighths, extras, rows.temperature * eighth, eighth, false};
    LogOperators{r, copy, 1, of_logs, log_sums ? log_sums + row : nullptr, loss ? loss + row : nullptr, targets ? targets + row : nullptr, of_gradient, scale}.go();
    T* out = logs ? logs : gradient;
    if (out && !run.stopped()) for (size_t c = 0, i = m.first; c < cols; c++, i += step) out[i] = x[c];
  }

  // What a tile that is one part needs.
  struct Memory {
    Lanes<T> lanes;
    Sum sum;
    Block blocks[kSuper / kBlock];
    explicit Memory(const Run&) {}
  };
  void row(const Run& alone, Memory& memory, size_t i) const {
    tile(alone, i / tiles(), i % tiles() * W, &memory.lanes, &memory.sum, memory.blocks);
  }
  void go() {
    Run r = for_bytes(run, outer * rows.cols * rows.inner * sizeof(T));
    if (rows.across() || rows.cols <= kSuper)
      return share_rows(r, outer * tiles(), rows.cols * (rows.across() ? W : 1), *this);
    size_t parts = Parts{rows.cols}.count(), all_blocks = (rows.cols + kBlock - 1) / kBlock;
    static_assert(sizeof(Lanes<T>) <= kReserveOfPart && sizeof(Block) <= kReserveOfBlock);
    LongRow memory(run, parts * (sizeof(Lanes<T>) + sizeof(Sum)) + all_blocks * sizeof(Block));
    Lanes<T>* lanes = (Lanes<T>*)memory.data;
    Sum* sums = (Sum*)(lanes + parts);
    for (size_t o = 0; o < outer && !run.stopped(); o++) tile(r, o, 0, lanes, sums, (Block*)(sums + parts));
  }
};

// What a call wants of its rows. Null: not wanted. targets and loss come together.
template <class T> struct LogResults {
  T* logs = nullptr;
  double *log_sums = nullptr, *loss = nullptr;
  const int32_t* targets = nullptr;
  T* gradient = nullptr;
};
template <class T> void log_operators(const Run& run, const T* x, const LogitRows<T>& rows, const LogResults<T>& to) {
  const Extent& e = rows.extent;
  if (e.elements() == 0) return;
  const ExpScale<double> scale = ExpScale<double>::of_call(rows.temperature);
  LogRows<T> log_rows = {x, e.cols, e.inner, scale, Extras<T>(rows), rows.temperature};
  LogOperators<T>{run, log_rows, e.outer, to.logs, to.log_sums, to.loss, to.targets, to.gradient,
                  ExpScale<T>::of_call(rows.temperature)}.go();
}

template <class T> void log_softmax_floats(const Run& run, const T* x, T* out, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.logs = out;
  log_operators(run, x, rows, to);
}
template <class X, class Y>
void log_softmax(const Run& run, const Stored<X>* x, Stored<Y>* out, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) map_halves(HalfCall(kFormat<X>, run, rows), x, out, log_softmax_floats<float>);
  else log_softmax_floats(run, x, out, rows);
}

template <class T> void log_sum_exp_floats(const Run& run, const T* x, double* out, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.log_sums = out;
  log_operators(run, x, rows, to);
}
void log_sum_exp_halves(const HalfCall& call, const uint16_t* x, double* out) {
  in_floats(call, x, nullptr, {}, [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) {
    log_sum_exp_floats<float>(r, in, out + call.row_index(o), call.part(o, n));
  });
}
template <class X, class Y>
void log_sum_exp(const Run& run, const Stored<X>* x, double* out, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) log_sum_exp_halves(HalfCall(kFormat<X>, run, rows), x, out);
  else log_sum_exp_floats(run, x, out, rows);
}

}  // namespace
