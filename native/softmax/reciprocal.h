// Division by the sum of a row: y = q · 2^(e − octave) · (hi + lo), where q is a term on the exponent e.
//
// The reciprocal is kept as two numbers, hi + lo, so that y is rounded only once more. A multiplication by a power of
// two is exact wherever it happens, so all plans give the same bits.
#pragma once
#include "../math/sum.h"

namespace {

// 1 / sum = (hi + lo) · 2^(−octave). hi and lo are numbers of the row's type, hi lies in (½, 1].
template <class T> struct Reciprocal {
  double hi, lo;
  int64_t octave;
  int shift;  // the octave of the sum's mantissa

  ALWAYS Reciprocal(Sum s) {
    int n = exponent_of(s.mantissa);
    double m = with_exponent(s.mantissa, 0);
    octave = (int64_t)s.exponent + n;
    hi = 1 / m;
    if (sizeof(T) == 4) {
      lo = hi - (double)(T)hi;
      hi = (double)(T)hi;
    } else {
      lo = hi * (FUSED_F64(-hi, m, 1) - hi * (s.rest * pow2(-(n / 2)) * pow2(-(n - n / 2))));
    }
    shift = n;
  }
  // Returns (term + rest) / sum, for a term on the exponent of the sum that is most of the sum.
  ALWAYS T quotient(double term, double rest) const {
    double half = pow2(-(shift / 2)), other_half = pow2(-(shift - shift / 2));
    term = term * half * other_half;
    rest = rest * half * other_half;
    return (T)FUSED_F64(term, hi, FUSED_F64(rest, hi, term * lo));
  }
};

// Turns the terms q of one exponent e into y = q · 2^(e − octave) · (hi + lo).
//
// The power of two is folded into hi and lo. Where they would underflow, because the block lies far below the row's
// maximum, `pre_factor` scales q first. Both ways are exact, so the bits are the same.
template <class T> struct Scaler {
  using V = typename ExpTraits<T>::Vector;
  static constexpr int kFoldReach = sizeof(T) == 4 ? 90 : 900;  // octaves
  V hi, lo, pre_factor;
  bool is_folded;

  ALWAYS Scaler(const Reciprocal<T>& r, int32_t exponent) {
    int64_t d = exponent - r.octave;
    is_folded = d >= -kFoldReach && d <= kFoldReach;
    double factor = pow2(is_folded ? (int)d : -kFoldReach);
    d += kFoldReach;
    pre_factor = splat(is_folded ? (T)1 : (T)(d < -1000 ? 0 : d > 100 ? 0x1p100 : pow2((int)d)));
    // A state may lie far below the row it is used for. Then every result must be +∞, and not ∞ − ∞.
    bool is_state_below = !is_folded && d > kFoldReach;
    hi = splat((T)(r.hi * factor));
    lo = splat((T)(is_state_below ? factor * 0x1p-30 : r.lo * factor));
  }
  template <bool kFolded> ALWAYS V apply(V q) const {
    if (!kFolded) q = mul(q, pre_factor);
    return fma(q, hi, mul(q, lo));
  }
};

}  // namespace
