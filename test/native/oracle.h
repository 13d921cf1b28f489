// What a softmax should be, in long double (64 bits on x86, 113 on arm64), and how far a result is from it.
#pragma once
#include <algorithm>

#include "calls.h"

// A logit: the exact sum of two numbers.
struct Logit {
  long double x, low;
  bool operator<(const Logit& b) const { return x < b.x || (x == b.x && low < b.low); }
};
inline Logit sum_of(long double a, long double b) {
  long double x = a + b, t = x - a;
  return {x, std::isfinite(x) ? (a - (x - t)) + (b - t) : 0};
}

// exp((x − m) / T) to about 2^−62, m the largest x: what subtraction and division round off is kept.
inline long double exponential(Logit x, Logit m, double temperature) {
  long double d = x.x - m.x;
  Logit e = sum_of(d, (x.x - (d + m.x)) + (x.low - m.low));
  long double z = e.x / temperature;
  if (!(z > -12000)) return 0;
  double high = (double)z, product = high * temperature;
  long double rest = e.low + ((e.x - product) - std::fma(high, temperature, -product)) - (z - high) * temperature;
  return expl(z) * (1 + rest / temperature);
}

template <class T> long double ulp(long double y) {
  using Limits = std::numeric_limits<T>;
  int e = std::max(std::ilogb(y), Limits::min_exponent - 1);
  return std::ldexp(1.L, e - (Limits::digits - 1));
}

// One row of a call: where its elements are, which of them count, and what they should become.
template <class T> struct ExactRow {
  std::vector<size_t> at;
  std::vector<Logit> logits;         // −∞ where masked
  std::vector<long double> results;  // a NaN in all if the row has none

  ExactRow(const SoftmaxCall<T>& call, size_t outer, size_t inner) {
    for (size_t c = 0; c < call.cols; c++) {
      size_t i = (outer * call.cols + c) * call.inner + inner, entry = call.layout == 2 || call.layout == 4 ? c : i;
      bool visible = call.layout == 0 || (call.layout < 3 ? call.mask[entry] != 0 : call.mask[entry / 8] >> entry % 8 & 1);
      long double bias = call.bias.empty() ? 0 : call.bias[call.bias.size() == call.cols ? c : i];
      Logit z = visible ? sum_of(call.x[i], bias) : Logit{-kInfinity, 0};
      if (std::fabs(z.x) > std::numeric_limits<T>::max()) z = {z.x > 0 ? kInfinity : -kInfinity, 0};  // the sum is one of the type's
      at.push_back(i), logits.push_back(z);
    }
    bool nan = false;
    Logit m = {-kInfinity, 0};
    for (auto& z : logits) nan |= std::isnan(z.x) || z.x == kInfinity, m = std::max(m, z);
    results.assign(logits.size(), nan || (m.x == -kInfinity && call.layout == 0) ? NAN : 0);
    if (nan || m.x == -kInfinity) return;
    // A sum in long double loses 2^−64 of itself an addition: in two steps the length does not show.
    long double total = 0;
    for (size_t from = 0; from < logits.size(); from += 1024) {
      long double part = 0;
      for (size_t c = from; c < std::min(from + 1024, logits.size()); c++) part += results[c] = exponential(logits[c], m, call.temperature);
      total += part;
    }
    for (auto& r : results) r /= total;
  }

  // In ULP; infinite where a NaN is not one, or one should not be, or a zero is not exact.
  long double error_of(const T* y) const {
    long double worst = 0;
    for (size_t c = 0; c < at.size(); c++) {
      long double exact = results[c], is = y[at[c]], off = exact == is || (std::isnan(exact) && std::isnan(is)) ? 0 : exact == 0 ? kInfinity : std::fabs(is - exact) / ulp<T>(exact);
      if (!(off <= worst)) worst = std::isnan(off) ? kInfinity : off;
    }
    return worst;
  }

  // The index of an element that is less probable than one with a smaller logit; none: the length.
  size_t not_monotone(const T* y) const {
    std::vector<uint32_t> order(at.size());
    for (size_t c = 0; c < order.size(); c++) order[c] = (uint32_t)c;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] < logits[b]; });
    for (size_t k = 1; k < order.size(); k++)
      if (y[at[order[k - 1]]] > y[at[order[k]]]) return order[k];
    return order.size();
  }
};
