// A sum as a state: a mantissa and an exponent that a caller may keep, send and merge elsewhere.
//
// A kernel's terms carry a factor g (exp.h); a state does not. A public state has a mantissa in [1, 2). A mantissa of
// 0, NaN or +∞ has the exponent 0. The exponent INT32_MIN says that the true exponent does not fit 32 bits.
#pragma once
#include "../math/octaves.h"
#include "../math/sum.h"
#include "../rows/logit_row.h"

namespace {

// Returns the sum without the factor g, its mantissa as one double.
template <class T> Sum to_state(Sum s) {
  s.mantissa = (s.mantissa + s.rest) / ExpTraits<T>::kG;
  s.rest = 0;
  s.others /= ExpTraits<T>::kG;
  return s;
}
// Returns the sum with the factor g, in the units of a kernel's terms.
template <class T> Sum from_state(Sum s) {
  s.mantissa *= ExpTraits<T>::kG;
  return s;
}

// Returns the sum of a row's parts, merged in order. They merge as states, so that chunks of a row whose states meet in
// another thread or on another machine give the same bits.
template <class T> Sum merge_states(const Sum* parts, size_t count) {
  Sum total = kNothing;
  for (size_t i = 0; i < count; i++) total = merge(total, to_state<T>(parts[i]));
  return total;
}

// Returns the octaves that find_top took off a row's logits.
template <class T, class Source> Octaves octaves_taken_off(const LogitRow<T, Source>& row) {
  double shift = row.logits.shift, second = row.logits.second;
  if (shift == 0 && second == 0) return {};
  Two<double> up = row.logits.up();
  return Octaves::of(shift * up.x * up.low, second * up.x * up.low, row.scale->temperature);
}

// Returns the public state of a sum whose logits had `o` taken off. An exponent stops at the ends of its range.
SIMD_INLINE Sum to_canonical(Sum s, const Octaves& o) {
  if (!is_ordinary(s.mantissa)) return {s.mantissa == s.mantissa ? s.mantissa : not_a_number<double>(), 0, 0};
  double m = s.mantissa * o.factor();
  int64_t e = (int64_t)s.exponent + exponent_of(m) + o.whole;
  return {with_exponent(m, 0), 0, (int32_t)(e > INT32_MAX ? INT32_MAX : e < -INT32_MAX ? -INT32_MAX : e)};
}
// Writes a public state. An exponent at an end of the range does not fit.
SIMD_INLINE void store_state(const Sum& s, double* mantissa, int32_t* exponent) {
  bool fits = s.exponent > -INT32_MAX && s.exponent < INT32_MAX;
  *mantissa = s.mantissa;
  *exponent = fits ? s.exponent : INT32_MIN;
}

// Returns a state relative to exp of `o`, in the units of a kernel's terms.
template <class T> Sum to_relative(double mantissa, int32_t exponent, const Octaves& o) {
  int64_t e = exponent - o.whole, most = 1 << 30;
  return from_state<T>(Sum{mantissa / o.factor(), 0, (int32_t)(e > most ? most : e < -most ? -most : e)});
}

// As to_canonical(to_state(s), o), but rounded only once. For a sum of doubles that is not merged with other parts.
SIMD_INLINE Sum to_exact_state(const Sum& s, const Octaves& o) {
  if (!is_ordinary(s.mantissa)) return to_canonical(s, o);
  constexpr double kG = ExpTraits<double>::kG;
  double f = o.factor(), hi = s.mantissa * f, lo = FUSED_F64(s.mantissa, f, -hi) + s.rest * f, q = hi / kG;
  Octaves whole;
  whole.whole = o.whole;
  return to_canonical({q + (FUSED_F64(-q, kG, hi) + lo) / kG, 0, s.exponent}, whole);
}
// As to_relative, with the rounding error of the mantissa in `rest`.
SIMD_INLINE Sum to_exact_relative(double mantissa, int32_t exponent, const Octaves& o) {
  constexpr double kG = ExpTraits<double>::kG;
  Sum s = to_relative<double>(1, exponent, {o.whole, 0});
  double f = o.factor(), hi = mantissa * kG, lo = FUSED_F64(mantissa, kG, -hi);
  s.mantissa = hi / f;
  s.rest = (FUSED_F64(-s.mantissa, f, hi) + lo) / f;
  return s;
}

}  // namespace
