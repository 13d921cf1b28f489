// The exact softmax of a row, or its logarithm, in long double (64 bits on x86, 113 on arm64), and the error of a
// result.
#pragma once
#include <algorithm>

#include "calls.h"

// A logit with its bias: the exact sum of two numbers.
struct Logit {
  long double x, low;
  bool operator<(const Logit& b) const { return x < b.x || (x == b.x && low < b.low); }
};
inline Logit sum_of(long double a, long double b) {
  long double x = a + b, t = x - a;
  return {x, std::isfinite(x) ? (a - (x - t)) + (b - t) : 0};
}

// (x − m) / T as value + rest, where m is the largest x. `rest` has the rounding errors of subtraction and division.
struct Quotient {
  long double value, rest;
};
inline Quotient quotient(Logit x, Logit m, double temperature) {
  long double d = x.x - m.x;
  Logit e = sum_of(d, (x.x - (d + m.x)) + (x.low - m.low));
  long double z = e.x / temperature;
  if (!std::isfinite(z)) return {z, 0};
  long double high = (double)z;  // its product with a double is exact in two steps
  if (!std::isfinite(high) || std::fabs(high) > 0x1p900 || std::fabs(temperature) > 0x1p900) return {z, 0};
  double product = (double)high * temperature;
  long double rest =
      e.low + ((e.x - product) - std::fma((double)high, temperature, -product)) - (z - high) * temperature;
  return {z, rest / temperature};
}
// exp((x − m) / T), with an error of about 2^−62.
inline long double exponential(Logit x, Logit m, double temperature) {
  if (!((x.x - m.x) / temperature > -12000)) return 0;
  Quotient q = quotient(x, m, temperature);
  return expl(q.value) * (1 + q.rest);
}

template <class T> long double ulp(long double y) {
  if (!std::isfinite(y)) return 1;
  using Limits = std::numeric_limits<T>;
  int e = std::max(std::ilogb(y), Limits::min_exponent - 1);
  return std::ldexp(1.L, e - (Limits::digits - 1));
}

// One row of a call: the indices of its elements, their logits, and the exact results.
template <class T> struct ExactRow {
  std::vector<size_t> at;
  std::vector<Logit> logits;         // −∞ where masked
  std::vector<long double> results;  // all NaN if the row has no result

  ExactRow(const LogitsOf<Plainly<T>>& call, size_t outer, size_t inner, bool logarithms = false) {
    std::vector<size_t> masked;
    for (size_t c = 0; c < call.cols; c++) {
      size_t i = (outer * call.cols + c) * call.inner + inner, entry = call.layout == 2 || call.layout == 4 ? c : i;
      bool visible =
          call.layout == 0 || (call.layout < 3 ? call.mask[entry] != 0 : call.mask[entry / 8] >> entry % 8 & 1);
      long double bias = call.bias == 0 ? 0 : call.biases[call.bias == 2 ? c : i];
      Logit z = visible ? sum_of(call.x[i], bias) : Logit{-kInfinity, 0};
      if (!visible) masked.push_back(c);
      at.push_back(i);
      logits.push_back(z);
    }
    bool nan = false;
    size_t top = 0;
    for (size_t c = 0; c < logits.size(); c++) {
      nan |= std::isnan(logits[c].x) || logits[c].x == kInfinity;
      if (logits[top] < logits[c]) top = c;
    }
    const Logit m = logits[top];
    results.assign(logits.size(), nan || (m.x == -kInfinity && call.layout == 0) ? NAN : logarithms ? -kInfinity : 0);
    for (size_t c : masked) results[c] = logarithms ? -kInfinity : 0;
    if (nan || m.x == -kInfinity) return;
    // Each addition in long double loses 2^−64 of the sum: sums of 1,024 terms keep the row's length out of the error.
    long double total = 0, others = 0;  // `others` lacks the largest term
    for (size_t from = 0; from < logits.size(); from += 1024) {
      long double part = 0;
      for (size_t c = from; c < std::min(from + 1024, logits.size()); c++)
        part += results[c] = exponential(logits[c], m, call.temperature);
      total += part;
      others += from <= top && top < from + 1024 ? part_without(top, from) : part;
    }
    for (size_t c = 0; c < logits.size(); c++) {
      if (!logarithms) results[c] /= total;
      else if (results[c] == 0 && logits[c].x == -kInfinity) results[c] = -kInfinity;
      else {
        Quotient q = quotient(logits[c], m, call.temperature);
        results[c] = q.value + (q.rest - log1pl(others));
        if (results[c] < -(long double)std::numeric_limits<T>::max() * (1 + std::numeric_limits<T>::epsilon() / 4))
          results[c] = -kInfinity;
      }
    }
  }

  // The sum of the 1,024 results from `from` on, without one.
  long double part_without(size_t omitted, size_t from) const {
    long double part = 0;
    for (size_t c = from; c < std::min(from + 1024, results.size()); c++) part += c == omitted ? 0 : results[c];
    return part;
  }

  // The largest error in ULP; infinite if NaN or an exact 0 is missing, or NaN is wrong.
  long double error_of(const T* y) const {
    long double worst = 0;
    for (size_t c = 0; c < at.size(); c++) {
      long double exact = results[c], actual = y[at[c]];
      if (exact == actual || (std::isnan(exact) && std::isnan(actual))) continue;
      long double error = exact == 0 ? kInfinity : std::fabs(actual - exact) / ulp<T>(exact);
      if (!(error <= worst)) worst = std::isnan(error) ? kInfinity : error;
    }
    return worst;
  }

  // The index of an element that is less probable than one with a smaller logit; the length if there is none.
  size_t not_monotone(const T* y) const {
    std::vector<uint32_t> order(at.size());
    for (size_t c = 0; c < order.size(); c++) order[c] = (uint32_t)c;
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] < logits[b]; });
    for (size_t k = 1; k < order.size(); k++)
      if (y[at[order[k - 1]]] > y[at[order[k]]]) return order[k];
    return order.size();
  }
};
