// cross_entropy: the loss −logSoftmax at the target of each row, and its gradient by the logits,
//
//   gradient = (softmax − [is the target]) / T
//
// softmax/log_operators.h computes both. A target of −1 has the loss 0 and no gradient. In half types, logits are
// widened to floats, and the gradient is rounded once more; a loss is a double in all types.
#pragma once
#include "../softmax/log_operators.h"

namespace {

// What a kernel computes with: halves as floats.
template <class T> struct FloatOf {
  using Is = T;
};
template <> struct FloatOf<uint16_t> {
  using Is = float;
};

template <class T>
void cross_entropy_floats(const Run& run, const T* x, const int32_t* targets, double* loss, T* gradient,
                          const LogitRows<T>& rows) {
  LogResults<T> to;
  to.targets = targets;
  to.loss = loss;
  to.gradient = gradient;
  log_operators(run, x, rows, to);
}
void cross_entropy_halves(const HalfCall& call, const uint16_t* x, const int32_t* targets, double* loss,
                          uint16_t* gradient) {
  in_floats(call, x, nullptr, gradient,
            [&](const Run& r, size_t o, size_t n, const float* in, const float*, float* result) {
              size_t row = call.row_index(o);
              cross_entropy_floats<float>(r, in, targets + row, loss + row, result, call.part(o, n));
            });
}
template <class X, class Y>
void cross_entropy(const Run& run, const Stored<X>* x, const int32_t* targets, double* loss, Stored<X>* gradient,
                   const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) cross_entropy_halves(HalfCall(kFormat<X>, run, rows), x, targets, loss, gradient);
  else cross_entropy_floats(run, x, targets, loss, gradient, rows);
}

// row_loss: a function f of D = −ln p of the target, and shares of all classes,
//
//   scale · ((1 − ε) w_y f(D) + Σ_k b_k (−ln p_k) + c · lse²)      b_k = w_k ((1 − ε) soft_k + ε / C)
//   gradient by x: scale / T · ((1 − ε) w_y f′(D) (p − [is the target]) + Σ b · p − b_k + 2 c · lse · p)
//
// With soft targets there is no f(D); C counts the classes that are not masked. softmax/log_loss_terms.h has f:
//
//   plain      D
//   comp-sum   (exp((1 − τ) D) − 1) / (1 − τ)      Mao, Mohri, Zhong, arXiv 2304.07288
//   focal      (1 − p)^γ D                         Lin et al., arXiv 1708.02002
template <class T>
void row_loss_floats(const Run& run, const T* x, const int32_t* targets, double* loss, T* gradient,
                     const LossTerms<T>& terms, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.targets = targets;
  to.loss = loss;
  to.gradient = gradient;
  to.terms = &terms;
  log_operators(run, x, rows, to);
}
template <class X, class Y>
void row_loss(const Run& run, const Stored<X>* x, const int32_t* targets, const Stored<X>* soft, const double* weight,
              double* loss, Stored<X>* gradient, int32_t kind, double parameter, double smoothing, double lse_penalty,
              double scale, const LogitRows<Stored<X>>& rows) {
  using T = typename FloatOf<Stored<X>>::Is;
  const LossTerms<T> terms = {nullptr, weight, kind, parameter, smoothing, lse_penalty, scale};
  if constexpr (kIsHalf<X>) {
    const HalfCall call(kFormat<X>, run, rows);
    in_floats(call, x, soft, gradient,
              [&](const Run& r, size_t o, size_t n, const float* in, const float* other, float* result) {
                LossTerms<T> part = terms;
                part.soft = other;
                const size_t row = call.row_index(o);
                row_loss_floats<float>(r, in, targets + row, loss + row, result, part, call.part(o, n));
              });
  } else {
    LossTerms<T> all = terms;
    all.soft = soft;
    row_loss_floats(run, x, targets, loss, gradient, all, rows);
  }
}

}  // namespace
