// log_softmax: y = x / T − log Σ exp(x / T). log_sum_exp: log Σ exp(x / T), as a double a row.
//
// log_operators.h computes both. Half types are widened to floats, and results of half types are rounded once more.
#pragma once
#include "log_halves.h"
#include "log_operators.h"

namespace {

static_assert(kCopiedRow >= kLogTileRow && kCopiedRow >= kShortRow, "rows of up to these have other bits");

template <class T> void log_softmax_floats(const Run& run, const T* x, T* out, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.logs = out;
  log_operators(run, x, rows, to);
}
void log_softmax_halves(const HalfCall& call, const uint16_t* x, HalfResult to) {
  LogHalfResults results;
  results.logs = to.halves;
  const LogHalves halves(call, x, results);
  map_halves(call, x, to, log_softmax_floats<float>, to.halves ? halves.rows() : nullptr);
}
template <class X, class Y>
void log_softmax(const Run& run, const Stored<X>* x, Stored<Y>* out, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) log_softmax_halves(HalfCall(kFormat<X>, run, rows), x, out);
  else log_softmax_floats(run, x, out, rows);
}

template <class T> void log_sum_exp_floats(const Run& run, const T* x, double* out, const LogitRows<T>& rows) {
  LogResults<T> to;
  to.log_sums = out;
  log_operators(run, x, rows, to);
}
void log_sum_exp_halves(const HalfCall& call, const uint16_t* x, double* out) {
  LogHalfResults results;
  results.log_sums = out;
  const LogHalves halves(call, x, results);
  auto copied = [&](const Run& r, size_t o, size_t n, const float* in, const float*, float*) {
    log_sum_exp_floats<float>(r, in, out + call.row_index(o), call.part(o, n));
  };
  in_floats(call, x, nullptr, {}, copied, halves.rows());
}
template <class X, class Y>
void log_sum_exp(const Run& run, const Stored<X>* x, double* out, const LogitRows<Stored<X>>& rows) {
  if constexpr (kIsHalf<X>) log_sum_exp_halves(HalfCall(kFormat<X>, run, rows), x, out);
  else log_sum_exp_floats(run, x, out, rows);
}

}  // namespace
