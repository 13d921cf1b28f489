// cross_entropy: the loss −logSoftmax at the target of each row, and its gradient by the logits,
//
//   gradient = (softmax − [is the target]) / T
//
// softmax/log_operators.h computes both. A target of −1 has the loss 0 and no gradient. In half types, logits are
// widened to floats, and the gradient is rounded once more; a loss is a double in all types.
#pragma once
#include "../softmax/log_operators.h"

namespace {

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

}  // namespace
