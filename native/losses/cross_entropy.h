// cross_entropy: the loss −logSoftmax at the target of each row, and its gradient by the logits,
//
//   gradient = (softmax − [is the target]) / T
//
// softmax/log_operators.h computes both. A target of −1 has the loss 0 and no gradient. In half types, logits are
// widened to floats, and the gradient is rounded once more; a loss is a double in all types.
#pragma once
#include "../softmax/log_halves.h"
#include "../softmax/log_operators.h"
#include "../softmax/log_terms_results.h"

namespace {

// What a kernel computes with: halves as floats.
template <class T> struct FloatOf {
  using Is = T;
};
template <> struct FloatOf<uint16_t> {
  using Is = float;
};

template <class T> void cross_entropy_floats(const Run& run, const T* x, const int32_t* targets, double* loss,
                                             T* gradient, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.targets = targets;
  to.loss = loss;
  to.gradient = gradient;
  log_operators(run, x, rows, to);
}
void cross_entropy_halves(const HalfCall& call, const uint16_t* x, const int32_t* targets, double* loss,
                          uint16_t* gradient) {
  LogHalfResults results;
  results.targets = targets;
  results.loss = loss;
  results.gradient = gradient;
  const LogHalves halves(call, x, results);
  auto copied = [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
    size_t row = call.row_index(o);
    cross_entropy_floats<float>(r, in, targets + row, loss + row, result, call.part(o, n));
  };
  in_floats(call, x, nullptr, gradient, copied, halves.rows());
}
template <class X, class Y> void cross_entropy(const Run& run, const Stored<X>* x, const int32_t* targets, double* loss,
                                               Stored<X>* gradient, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) cross_entropy_halves(HalfCall(kFormat<X>, run, rows), x, targets, loss, gradient);
  else cross_entropy_floats(run, x, targets, loss, gradient, rows);
}

// row_loss: a function f of D = −ln p of the target, and shares of all classes,
//
//   scale · ((1 − ε) w_y f(D) + Σ_k b_k (−ln p_k) + c · lse²)      b_k = w_k ((1 − ε) soft_k + ε / C)
//   gradient by x: scale / T · ((1 − ε) w_y f′(D) (p − [is the target]) + Σ b · p − b_k + 2 c · lse · p)
//
// With soft targets there is no f(D); C counts the classes that are not masked. `given` has two numbers a row: the
// target's logit, whose element of x is −∞, and the slope by which its gradient is multiplied. softmax/log_loss_terms.h
// has f:
//
//   plain      D
//   comp-sum   (exp((1 − τ) D) − 1) / (1 − τ)      Mao, Mohri, Zhong, arXiv 2304.07288
//   focal      (1 − p)^γ D                         Lin et al., arXiv 1708.02002
// A multiple of −ln p takes the fast rows of cross_entropy; MultipleOfLoss multiplies their results by a row's factor.
template <class T> struct MultipleOfLoss {
  const Run& run;
  const int32_t* targets;
  double* loss;
  T* gradient;
  const LossTerms<T>& terms;
  Extent extent;

  double factor(size_t row) const { return targets[row] < 0 ? 0 : terms.weight_of((size_t)targets[row]) * terms.scale; }
  // A factor of 0 makes all but NaN 0, +∞ too.
  static double product(double x, double factor) { return factor == 0 ? (x == x ? 0 : x) : x * factor; }

  // Rows [from, to) of column c of an outer index, or elements [from, to) of a row.
  void multiply_rows(size_t first_row, T* at, size_t n) const {
    for (size_t i = 0; i < n; i++) at[i] = (T)product((double)at[i], factor(first_row + i));
  }
  void multiply_row(T* at, size_t n, double times) const {
    constexpr size_t W = ExpTraits<T>::kLanes, kParts = W / 8;
    for (size_t i = 0; i < n; i += W) {
      const size_t left = n - i < W ? n - i : W;
      f64x8 g[kParts];
      widen(left == W ? load(at + i) : load_n(at + i, left, (T)0), g);
      UNROLL
      for (size_t p = 0; p < kParts; p++) g[p] = mul(g[p], splat(times));
      left == W ? store(at + i, narrowed(g, T())) : store_n(at + i, narrowed(g, T()), left);
    }
  }
  // A unit is a part of a row, or along an axis that is not the last a column.
  static void task(void* self, size_t unit) {
    const MultipleOfLoss& s = *(const MultipleOfLoss*)self;
    const Extent& e = s.extent;
    if (e.inner > 1) return s.multiply_rows(unit / e.cols * e.inner, s.gradient + unit * e.inner, e.inner);
    const size_t parts = Parts{e.cols}.count(), row = unit / parts, from = unit % parts * kSuper;
    s.multiply_row(s.gradient + row * e.cols + from, Parts{e.cols}.end(unit % parts) - from, s.factor(row));
  }
  using Memory = NoMemory;
  void row(const Run&, Memory&, size_t unit) const { task((void*)this, unit); }
  void write() const {
    const Extent& e = extent;
    if (e.elements() == 0) return;
    const Run r = for_bytes(run, e.elements() * sizeof(T));
    const size_t units = e.inner > 1 ? e.outer * e.cols : e.outer * Parts{e.cols}.count();
    if (gradient) share_rows(r, units, e.elements() / units, *this);
    for (size_t i = 0; i < e.outer * e.inner; i++) loss[i] = product(loss[i], factor(i));
  }
};

template <class T> void row_loss_floats(const Run& run, const T* x, const int32_t* targets, double* loss, T* gradient,
                                        const LossTerms<T>& terms, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.targets = targets;
  to.loss = loss;
  to.gradient = gradient;
  if (!terms.is_multiple()) to.terms = &terms;
  log_operators(run, x, rows, to);
  if (!terms.is_multiple() || run.stopped()) return;
  MultipleOfLoss<T>{run, targets, loss, gradient, terms, rows.extent}.write();
}
template <class X, class Y>
void row_loss(const Run& run, const Stored<X>* x, const int32_t* targets, const Stored<X>* soft, const double* weight,
              const double* given, double* loss, Stored<X>* gradient, int32_t kind, double parameter, double smoothing,
              double lse_penalty, double scale, const LogitRows<Stored<X>>& rows) {
  using T = typename FloatOf<Stored<X>>::Is;
  const LossTerms<T> terms = {nullptr, weight, given, kind, parameter, smoothing, lse_penalty, scale};
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows);
    in_floats(call, x, soft, gradient,
              [&](const Run& r, size_t o, size_t n, const float* in, const float* other, float* result) {
                LossTerms<T> part = terms;
                part.soft = other;
                const size_t row = call.row_index(o);
                if (given) part.given = given + 2 * row;
                row_loss_floats<float>(r, in, targets + row, loss + row, result, part, call.part(o, n));
              });
  } else {
    LossTerms<T> all = terms;
    all.soft = soft;
    row_loss_floats(run, x, targets, loss, gradient, all, rows);
  }
}

}  // namespace
