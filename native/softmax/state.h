// A sum as a state that can leave the kernels: without their factor g, as one double and an exponent.
//
// Public states have a mantissa in [1, 2). 0, NaN and +∞ have the exponent 0. INT32_MIN in place of an exponent: it does not
// fit 32 bits.
#pragma once
#include "row_sum.h"

namespace {

template <class T> Sum to_state(Sum s) {
  s.mantissa = (s.mantissa + s.rest) / ExpTraits<T>::kG, s.rest = 0, s.others /= ExpTraits<T>::kG;
  return s;
}
template <class T> Sum from_state(Sum s) {
  s.mantissa *= ExpTraits<T>::kG;
  return s;
}

// The parts of a row, in order. They are merged as states, so that shards of a row whose states meet in another thread or
// on another machine give the same bits.
template <class T> Sum merge_states(const Sum* parts, size_t count) {
  Sum total = kNothing;
  for (size_t i = 0; i < count; i++) total = merge(total, to_state<T>(parts[i]));
  return total;
}

// exp(value / T) as a power of two. Beyond 2^40 octaves, where every state has ended, only the side is kept.
struct Octaves {
  int64_t whole = 0;
  double fraction = 0;

  // `rest` is added to the value; it may be some octaves, but not more than the value.
  static Octaves of(double value, double rest, double temperature) {
    double hi = 0x1.71547652b82fep+0 / temperature;
    double lo = (FUSED_F64(-hi, temperature, 0x1.71547652b82fep+0) + 0x1.777d0ffda0d24p-56) / temperature;
    double p = value * hi, r = rest * hi;
    if (!(p < 0x1p40)) return {(int64_t)1 << 40, 0};
    if (!(p > -0x1p40)) return {-((int64_t)1 << 40), 0};
    double n = nearest(p), m = nearest(r);
    return {(int64_t)n + (int64_t)m, (p - n) + (r - m) + (FUSED_F64(value, hi, -p) + value * lo + FUSED_F64(rest, hi, -r))};
  }
  double factor() const {  // 2^fraction
    if (fraction == 0) return 1;
    using X = ExpTraits<double>;
    const ExpVector<double> e(ExpScale<double>::of(1), 0);
    f64x8 t;
    double q[8];
    store(q, exp_below<true>(e, splat(fraction * 0x1.62e42fefa39efp-1), t));
    return q[0] * pow2(-X::kBias) / X::kG;
  }
};

// What has been taken off a row's logits before their exponentials (Row::look).
template <class T> Octaves taken_off(const Row<T>& row) {
  double shift = row.logits.shift, second = row.logits.second;
  if (shift == 0 && second == 0) return {};
  Two<double> up = row.logits.up();
  return Octaves::of(shift * up.x * up.low, second * up.x * up.low, row.scale->temperature);
}

SIMD_INLINE bool ordinary(double mantissa) { return mantissa > 0 && mantissa - mantissa == 0; }

// A state in canonical form, with o put back. An exponent that does not fit stays at the end of the range.
SIMD_INLINE Sum canonical(Sum s, const Octaves& o) {
  if (!ordinary(s.mantissa)) return {s.mantissa == s.mantissa ? s.mantissa : not_a_number<double>(), 0, 0};
  double m = s.mantissa * o.factor();
  int64_t e = (int64_t)s.exponent + exponent_of(m) + o.whole;
  return {with_exponent(m, 0), 0, (int32_t)(e > INT32_MAX ? INT32_MAX : e < -INT32_MAX ? -INT32_MAX : e)};
}
SIMD_INLINE void put_state(const Sum& s, double* mantissa, int32_t* exponent) {
  bool fits = s.exponent > -INT32_MAX && s.exponent < INT32_MAX;
  *mantissa = s.mantissa, *exponent = fits ? s.exponent : INT32_MIN;
}

// A state, as what is left of it when o is taken off: in the units of a kernel's q.
template <class T> Sum relative(double mantissa, int32_t exponent, const Octaves& o) {
  int64_t e = exponent - o.whole, most = 1 << 30;
  return from_state<T>(Sum{mantissa / o.factor(), 0, (int32_t)(e > most ? most : e < -most ? -most : e)});
}

// The state of a sum of doubles that is no part's, rounded once in all.
SIMD_INLINE Sum exact_state(const Sum& s, const Octaves& o) {
  if (!ordinary(s.mantissa)) return canonical(s, o);
  constexpr double kG = ExpTraits<double>::kG;
  double f = o.factor(), hi = s.mantissa * f, lo = FUSED_F64(s.mantissa, f, -hi) + s.rest * f, q = hi / kG;
  Octaves whole;
  whole.whole = o.whole;
  return canonical({q + (FUSED_F64(-q, kG, hi) + lo) / kG, 0, s.exponent}, whole);
}
// What `relative` gives, and what rounding takes from it.
SIMD_INLINE Sum exact_relative(double mantissa, int32_t exponent, const Octaves& o) {
  constexpr double kG = ExpTraits<double>::kG;
  Sum s = relative<double>(1, exponent, {o.whole, 0});
  double f = o.factor(), hi = mantissa * kG, lo = FUSED_F64(mantissa, kG, -hi);
  s.mantissa = hi / f, s.rest = (FUSED_F64(-s.mantissa, f, hi) + lo) / f;
  return s;
}

}  // namespace
