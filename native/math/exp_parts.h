// exp(x / T) as the sum of two floats with a shared exponent, for sums that a float term would spoil:
//
//   q = S + rest      S = g · 2^(k/8 − e)      rest = (S / T) · (r + r² (C2/T + r C3/T² + r² C4/T³))
//
// exp.h explains k, r and the table. A sum adds S in doubles, which is exact, and rests, which are below S / 22, in
// floats. So copies of a value may fill a row: no rounding error larger than 2⁻²⁷ of the sum is common to them.
//
// g was chosen by search so that all eight table entries are exact to 0.77 · 2⁻²⁸. Max error of S + rest: 2⁻²⁷·⁵.
#pragma once
#include "exp.h"

namespace {

alignas(64) constexpr uint32_t kTableParts[8] = {
    0x3F8B3A3Eu - 0x3F800000u, 0x3F97D424u - 0x3F900000u, 0x3FA59202u - 0x3FA00000u, 0x3FB48E45u - 0x3FB00000u,
    0x3FC4E5BEu - 0x3FC00000u, 0x3FD6B7DAu - 0x3FD00000u, 0x3FEA26DEu - 0x3FE00000u, 0x3FFF5829u - 0x3FF00000u,
};

struct ExpParts {
  using X = ExpTraits<float>;
  static constexpr double kG = 0x1.16747bf74c5c2p+0;
  f32x16 c, step_hi, step_lo, slope, terms[3], base, low;
  double octaves, inverse_octaves, reach;

  explicit ALWAYS ExpParts(const ExpScale<float>& s) : octaves(s.octaves), inverse_octaves(1 / s.octaves) {
    reach = X::kLimit / 8 * inverse_octaves;
    c = splat(s.c);
    step_hi = splat(s.step_hi);
    step_lo = splat(s.step_lo);
    slope = splat(s.slope);
    set_terms(1 / s.temperature);
  }
  // The same terms as `e` gives as one float each.
  ALWAYS ExpParts(const ExpVector<float>& e, const ExpScale<double>& s)
      : c(e.c),
        step_hi(e.step_hi),
        step_lo(e.step_lo),
        slope(e.slope),
        octaves(s.octaves),
        inverse_octaves(1 / s.octaves),
        reach(X::kLimit / 8 * inverse_octaves) {
    set_terms(1 / s.temperature);
  }
  ALWAYS void set_terms(double inverse) {
    terms[0] = splat((float)(inverse / 2));
    terms[1] = splat((float)(inverse * inverse / 6));
    terms[2] = splat((float)(inverse * inverse * inverse / 24));
  }
  // Returns the octaves of rows' maxima, which become the references: each row has its base and low. No maximum may be
  // larger than `reach`.
  ALWAYS f64x8 refer_to(f64x8 top, f64x8& row_base, f64x8& row_low) const {
    const f64x8 round = splat(0x1.8p52), octave = sub(add(mul(top, splat(octaves)), round), round);
    row_base = fma(octave, splat(-8 * X::kUlp), splat(2 + X::kTop * X::kUlp));
    row_low = mul(sub(octave, splat((X::kTop - 16) / 8.)), splat(inverse_octaves));
    return octave;
  }
  ALWAYS void refer_to_octave(double octave) {
    base = splat((float)(2 + (X::kTop - 8 * octave) * X::kUlp));
    low = splat((float)((octave - (X::kTop - 16) / 8.) * inverse_octaves));
  }
  // The rest of values, 0 for those below `low`. One whose lower number is infinite would make it NaN.
  static ALWAYS f32x16 rest_above(f32x16, f32x16, f32x16 rest) { return rest; }
  static ALWAYS f32x16 rest_above(f32x16 low, Two<f32x16> v, f32x16 rest) { return zero_below(rest, v.x, low); }
  // Returns S and the rest of values (f32x16 or Two<f32x16>) not above the reference. Values below the window give 0; a
  // NaN gives a NaN rest.
  template <class Value> ALWAYS f32x16 exp_of(Value value, f32x16& rest) const {
    const f32x16 v = high_part(value), x = raise_to(low, v), t = fma(x, c, base), k = sub(t, base);
    const f32x16 r = plus_low(fma(k, step_lo, fma(k, step_hi, x)), value);
    const f32x16 s = zero_below(add_shifted(lookup8((const float*)kTableParts, t), t), v, low);
    rest = rest_above(low, value, mul(mul(s, slope), powers_of(r, terms)));
    return s;
  }
  static ALWAYS f32x16 powers_of(f32x16 r, const f32x16* terms) {
    return fma(mul(r, r), fma(r, fma(r, terms[2], terms[1]), terms[0]), r);
  }
};

}  // namespace
