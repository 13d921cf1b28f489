// exp(value / T) as a power of two, for the exponents of states.
#pragma once
#include "exp.h"

namespace {

// Whether a mantissa is positive and finite.
SIMD_INLINE bool is_ordinary(double mantissa) { return mantissa > 0 && mantissa - mantissa == 0; }

// exp(value / T) as 2^(whole + fraction). Beyond 2^40 octaves, where no state reaches, only the sign is right.
struct Octaves {
  int64_t whole = 0;
  double fraction = 0;

  // Returns the octaves of exp((value + rest) / T). `rest` may be some octaves, but not more than the value.
  static Octaves of(double value, double rest, double temperature) {
    double hi = 0x1.71547652b82fep+0 / temperature;  // log2(e) / T = hi + lo
    double lo = (FUSED_F64(-hi, temperature, 0x1.71547652b82fep+0) + 0x1.777d0ffda0d24p-56) / temperature;
    double p = value * hi, r = rest * hi;
    if (!(p < 0x1p40)) return {(int64_t)1 << 40, 0};
    if (!(p > -0x1p40)) return {-((int64_t)1 << 40), 0};
    double n = nearest(p), m = nearest(r);
    return {(int64_t)n + (int64_t)m,
            (p - n) + (r - m) + (FUSED_F64(value, hi, -p) + value * lo + FUSED_F64(rest, hi, -r))};
  }
  // Returns 2^fraction.
  double factor() const {
    if (fraction == 0) return 1;
    using X = ExpTraits<double>;
    const ExpVector<double> e(ExpScale<double>::of(1), 0);
    f64x8 t;
    double q[8];
    store(q, exp_below<true>(e, splat(fraction * 0x1.62e42fefa39efp-1), t));
    return q[0] * pow2(-X::kBias) / X::kG;
  }
};

}  // namespace
