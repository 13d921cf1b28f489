// Dividing by a sum: y = q · 2^(e − octave) · (hi + lo), the reciprocal as two numbers, so that y is rounded once more
// only. The power of two is exact wherever it is applied, so all plans give the same bits.
#pragma once
#include "../math/sum.h"

namespace {

// 1 / sum = (hi + lo) · 2^(−octave), hi and lo of the row's type, hi in (½, 1].
template <class T> struct Reciprocal {
  double hi, lo;
  int64_t octave;
  int shift;

  ALWAYS Reciprocal(Sum s) {
    int n = exponent_of(s.mantissa);
    double m = with_exponent(s.mantissa, 0);
    octave = (int64_t)s.exponent + n;
    hi = 1 / m;
    if (sizeof(T) == 4) lo = hi - (double)(T)hi, hi = (double)(T)hi;
    else lo = hi * (FUSED_F64(-hi, m, 1) - hi * (s.rest * pow2(-(n / 2)) * pow2(-(n - n / 2))));
    shift = n;
  }
  // (term + rest) / sum, for a term on the sum's own exponent that is most of it.
  ALWAYS T quotient(double term, double rest) const {
    double half = pow2(-(shift / 2)), other = pow2(-(shift - shift / 2));
    term = term * half * other, rest = rest * half * other;
    return (T)FUSED_F64(term, hi, FUSED_F64(rest, hi, term * lo));
  }
};

// How the q of one shared exponent e become y = q · 2^(e − octave) · (hi + lo): the power of two is folded into hi
// and lo; for a block so far below the row's maximum that they would underflow, part of it is applied to q first.
// Exact both ways, so the bits are the same.
template <class T> struct Scaler {
  using V = typename ExpTraits<T>::Vector;
  static constexpr int kReach = sizeof(T) == 4 ? 90 : 900;
  V hi, lo, first;
  bool folded;

  ALWAYS Scaler(const Reciprocal<T>& r, int32_t exponent) {
    int64_t d = exponent - r.octave;
    folded = d >= -kReach && d <= kReach;
    double factor = pow2(folded ? (int)d : -kReach);
    d += kReach;
    first = splat(folded ? (T)1 : (T)(d < -1000 ? 0 : d > 100 ? 0x1p100 : pow2((int)d)));
    // A state far below the row it is used for: all must become +∞, and not ∞ − ∞.
    bool beyond = !folded && d > kReach;
    hi = splat((T)(r.hi * factor)), lo = splat((T)(beyond ? factor * 0x1p-30 : r.lo * factor));
  }
  template <bool kFolded> ALWAYS V apply(V q) const {
    if (!kFolded) q = mul(q, first);
    return fma(q, hi, mul(q, lo));
  }
};

}  // namespace
