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

alignas(64) const uint32_t kTableParts[8] = {
    0x3F8B3A3Eu - 0x3F800000u, 0x3F97D424u - 0x3F900000u, 0x3FA59202u - 0x3FA00000u, 0x3FB48E45u - 0x3FB00000u,
    0x3FC4E5BEu - 0x3FC00000u, 0x3FD6B7DAu - 0x3FD00000u, 0x3FEA26DEu - 0x3FE00000u, 0x3FFF5829u - 0x3FF00000u,
};

// In place of 6 in C3 = 1/6 where results must not fall as logits rise: a cell's end then lies below the next cell's
// start, whatever the table's entries lack. Max error of S + rest: 2^-27.
constexpr double kMonotoneCubic = 6.003;

// The polynomial of a temperature.
struct PartsTerms {
  float terms[3];
  explicit ALWAYS PartsTerms(double temperature, double cubic = 6) {
    const double inverse = 1 / temperature;
    terms[0] = (float)(inverse / 2);
    terms[1] = (float)(inverse * inverse / cubic);
    terms[2] = (float)(inverse * inverse * inverse / 24);
  }
};
// The constants of a temperature. `scaled` ones serve no row as it is (ExpScale).
struct PartsScale : PartsTerms {
  float c, step_hi, step_lo, slope;
  bool scaled;
  double octaves, inverse_octaves, reach;

  // As ExpScale::of_call, with kMonotoneCubic.
  static NEVER_INLINE PartsScale of_call(double temperature) {
    return temperature == 1 ? PartsScale(ExpScale<float>::of(1), kMonotoneCubic)
                            : PartsScale(ExpScale<float>::of(temperature), kMonotoneCubic);
  }
  explicit ALWAYS PartsScale(const ExpScale<float>& s, double cubic = 6)
      : PartsTerms(s.temperature, cubic),
        c(s.c),
        step_hi(s.step_hi),
        step_lo(s.step_lo),
        slope(s.slope),
        scaled(s.scaled),
        octaves(s.octaves) {
    inverse_octaves = 1 / octaves;
    reach = ExpTraits<float>::kLimit / 8 * inverse_octaves;
  }
};

// PartsScale in vectors, with the reference of a row.
struct ExpParts {
  using X = ExpTraits<float>;
  static constexpr double kG = 0x1.16747bf74c5c2p+0;
  f32x16 c, step_hi, step_lo, slope, terms[3], base, low;
  double octaves, inverse_octaves, reach;

  explicit ALWAYS ExpParts(const PartsScale& s)
      : octaves(s.octaves), inverse_octaves(s.inverse_octaves), reach(s.reach) {
    c = splat(s.c);
    step_hi = splat(s.step_hi);
    step_lo = splat(s.step_lo);
    slope = splat(s.slope);
    UNROLL for (int i = 0; i < 3; i++) terms[i] = splat(s.terms[i]);
  }
  ALWAYS ExpParts(const ExpVector<float>& e, const ExpScale<double>& s)
      : c(e.c),
        step_hi(e.step_hi),
        step_lo(e.step_lo),
        slope(e.slope),
        octaves(s.octaves),
        inverse_octaves(1 / s.octaves),
        reach(X::kLimit / 8 * inverse_octaves) {
    const PartsTerms of(s.temperature);
    UNROLL for (int i = 0; i < 3; i++) terms[i] = splat(of.terms[i]);
  }
  // Returns the octaves of rows' maxima, which become the references: each row has its base and low. No maximum may be
  // larger than `reach`.
  ALWAYS f64x8 refer_to(f64x8 top, f64x8& row_base, f64x8& row_low) const {
    const f64x8 round = splat(0x1.8p52), octave = sub(add(mul(top, splat(octaves)), round), round);
    row_base = fma(octave, splat(-8 * X::kUlp), splat(2 + X::kTop * X::kUlp));
    row_low = mul(sub(octave, splat((X::kTop - 16) / 8.)), splat(inverse_octaves));
    return octave;
  }
  // Refers to the maximum of one row, which is no larger than `reach`.
  ALWAYS void refer_to(float top) { refer_to_octave(nearest((double)top * octaves)); }
  ALWAYS void refer_to_octave(double octave) {
    base = splat((float)(2 + (X::kTop - 8 * octave) * X::kUlp));
    low = splat((float)((octave - (X::kTop - 16) / 8.) * inverse_octaves));
  }
  // Returns S and the rest of values (f32x16 or Two<f32x16>) not above the reference. Values below the window give 0 if
  // kClamps; else bits of `t` tell whether there are any. A NaN gives a NaN rest.
  template <bool kClamps, class Value> ALWAYS f32x16 exp_of(Value value, f32x16& rest, f32x16& t) const {
    const f32x16 v = high_part(value), x = kClamps ? raise_to(low, v) : v;
    t = fma(x, c, base);
    const f32x16 k = sub(t, base), r = plus_low(fma(k, step_lo, fma(k, step_hi, x)), value);
    f32x16 s = add_shifted(lookup8((const float*)kTableParts, t), t);
    if (kClamps) s = zero_below(s, v, low);
    const f32x16 p = fma(mul(r, r), fma(r, fma(r, terms[2], terms[1]), terms[0]), r);
    rest = mul(mul(s, slope), p);
    return s;
  }
};

}  // namespace
