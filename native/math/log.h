// Logarithms without the C library, whose last bits differ between systems. log(1 + s) for s ≥ 0 is the sum of two
// doubles, with an error of 2^-58 of the result.
//
//   1 + s = 2^n (1 + f), 1 + f in [√½, √2]      h = f / (2 + f)      log(1 + s) = n ln 2 + 2 (h + h³/3 + h⁵/5 + …)
//
// f keeps the rounding error of 1 + s, and h is a pair, so a small s loses nothing. |h| ≤ 0.172: the first term left
// out, h²³/23, is 2^-60 of the result. The JavaScript backend takes the same steps.
#pragma once
#include "exp.h"

namespace {

struct Pair {
  double hi, lo;
};

SIMD_INLINE Pair two_sum_pair(double a, double b) {  // Knuth
  double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}

// log(1 + s + rest), |rest| far below s.
static Pair log1p_pair(double s, double rest) {
  if (s < 0x1p-60) return {s, rest};
  double f = s, below = rest, n = 0;
  if (s > 0x1.a82799p-2) {  // √2 − 1
    Pair u = two_sum_pair(1, s);
    int octave = exponent_of(u.hi);
    double m = with_exponent(u.hi, 0);
    if (m > 0x1.6a09e6p0) m /= 2, octave++;
    f = m - 1, below = (u.lo + rest) * pow2(-octave), n = octave;
  }
  Pair d = two_sum_pair(2, f);
  double h = f / d.hi;
  double l = (FUSED_F64(-h, d.hi, f) + (below - h * (d.lo + below))) / d.hi;
  double z = h * h, p = 2. / 23;
  p = FUSED_F64(p, z, 2. / 21), p = FUSED_F64(p, z, 2. / 19), p = FUSED_F64(p, z, 2. / 17),
  p = FUSED_F64(p, z, 2. / 15);
  p = FUSED_F64(p, z, 2. / 13), p = FUSED_F64(p, z, 2. / 11), p = FUSED_F64(p, z, 2. / 9), p = FUSED_F64(p, z, 2. / 7);
  p = FUSED_F64(p, z, 2. / 5), p = FUSED_F64(p, z, 2. / 3);
  double low = 2 * l * (1 + z) + h * (z * p);
  Pair sum = two_sum_pair(n * 0x1.62e42feep-1, 2 * h);  // the first 32 bits of ln 2: the product is exact
  return two_sum_pair(sum.hi, sum.lo + (n * 0x1.a39ef35793c76p-33 + low));
}

// log1p_pair of eight sums, with its bits.
SIMD_INLINE Two<f64x8> log1p_pairs(f64x8 s, f64x8 rest) {
  const f64x8 zero = splat(0.), one = splat(1.), two = splat(2.);
  const uint32_t large = lanes_above(s, splat(0x1.a82799p-2));  // √2 − 1
  const Two<f64x8> u = two_sum(one, s);
  const f64x8 lower = mantissas_of(u.x), octaves = octaves_of(u.x);
  const uint32_t upper = lanes_above(lower, splat(0x1.6a09e6p0));
  const f64x8 m = select_bits(mul(lower, splat(0.5)), lower, upper);
  const f64x8 n = select_bits(select_bits(add(octaves, one), octaves, upper), zero, large);
  const f64x8 f = select_bits(sub(m, one), s, large);
  const f64x8 below = select_bits(mul(add(u.low, rest), div(m, u.x)), rest, large);  // the quotient is 2^−n
  const Two<f64x8> d = two_sum(two, f);
  const f64x8 h = div(f, d.x), rounded = fma(sub(zero, h), d.x, f);
  const f64x8 l = div(add(rounded, sub(below, mul(h, add(d.low, below)))), d.x), z = mul(h, h);
  f64x8 p = splat(2. / 23);
  UNROLL for (int k = 21; k >= 3; k -= 2) p = fma(p, z, splat(2. / k));
  const f64x8 low = add(mul(mul(two, l), add(one, z)), mul(h, mul(z, p)));
  const Two<f64x8> sum = two_sum(mul(n, splat(0x1.62e42feep-1)), mul(two, h));
  const Two<f64x8> log = two_sum(sum.x, add(sum.low, add(mul(n, splat(0x1.a39ef35793c76p-33)), low)));
  const uint32_t tiny = lanes_above(splat(0x1p-60), s);
  return {select_bits(s, log.x, tiny), select_bits(rest, log.low, tiny)};
}

// ln x of positive normal numbers. Max error: 0.9 ULP. The steps of fdlibm's log: x = 2^n (1 + f), s = f / (2 + f),
// ln(1 + f) = f - (f²/2 - s (f²/2 + R)), R = 2/3 s² + 2/5 s⁴ + …, of which the first term left out is 2^-59.
static NEVER_INLINE f64x8 log_of(f64x8 x) {
  const f64x8 lower = mantissas_of(x), octaves = octaves_of(x);
  const uint32_t upper = lanes_above(lower, splat(0x1.6a09e6p0));  // √2
  const f64x8 m = select_bits(mul(lower, splat(0.5)), lower, upper);
  const f64x8 n = select_bits(add(octaves, splat(1.)), octaves, upper);
  const f64x8 f = sub(m, splat(1.)), s = div(f, add(splat(2.), f)), z = mul(s, s);
  const f64x8 half_square = mul(mul(f, f), splat(0.5));
  f64x8 r = splat(2. / 21);
  UNROLL for (int k = 19; k >= 3; k -= 2) r = fma(r, z, splat(2. / k));
  const f64x8 low = fma(s, fma(r, z, half_square), mul(n, splat(0x1.a39ef35793c76p-33)));
  return sub(mul(n, splat(0x1.62e42feep-1)), sub(sub(half_square, low), f));
}

}  // namespace
