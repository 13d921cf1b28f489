// exp(x / T) as a float with a shared exponent: q = g · exp(x / T) · 2^(-e), for a whole vector.
//
//   k = round(x · 8 log2(e) / T)      r = x − k · (T ln 2 / 8)      q = S + (S / T) · (r + r² (C2/T + r C3/T² + …))
//
// S = g · 2^(k/8 − e) is a table entry with k's upper bits added to its exponent field. The reduction is done in
// units of x, with T ln 2 / 8 kept as two numbers, so that a temperature costs no accuracy; for T = 1 the
// polynomial starts with r itself, which costs one operation less.
//
// Why g, and why these constants. A softmax divides q by a sum of q, so any common factor g cancels. g was chosen
// (by search over all floats, over four million doubles) so that the eight rounded entries g · 2^(j/8) lie closest to
// their exact values where a mantissa near 1 makes an error weigh most, and so that no value steps down from the
// end of one table cell to the start of the next: with r + r²(…), monotone inside a cell by construction, the
// whole function is monotone. float: C2 = ½ + h²/24 with h = ln 2 / 16 turns the truncation error −r⁴/24 into the
// Chebyshev polynomial h⁴/192 · T₄(r/h), 0.31 · 2⁻²⁴; the whole error of q stays below 1.4 · 2⁻²⁴.
// double: the Taylor series to degree 8, 0.02 · 2⁻⁵³.
//
// The number t = x · c + base lies in [2, 4), so that its low mantissa bits are the integer k' = k − 8(e + bias),
// and so that every t outside the window 0 ≤ k' < kWindow has a bit that none inside has: one or of all t tells whether
// all were inside, for half an operation a vector.
#pragma once
namespace {

constexpr double kLog2E = 0x1.71547652b82fep+0;

template <class T> struct ExpTraits;

template <> struct ExpTraits<float> {
  using Vector = f32x16;
  using Bits = uint32_t;
  static constexpr int kLanes = 16;
  static constexpr double kUlp = 0x1p-22;       // of t in [2, 4)
  static constexpr int kTop = 1280;             // k' of the reference: 95 octaves may lie above it, 160 below
  static constexpr int kBias = kTop / 8 - 127;  // q of the reference is about g · 2^kBias
  static constexpr Bits kOutside = ~(Bits)0x400007FF;
  static constexpr double kLimit = 0x1p18;  // of |x| · 8 log2(e) / T, where the reduction is still as exact
  static constexpr int kTerms = 2;
  static constexpr double kC[kTerms] = {0x1.000a4p-1, 0x1.555d88p-3};
  static constexpr double kG = 0x1.059f8c4a62035p+0;  // of q = g · exp(x), fitted: the polynomial's mean error included
};

template <> struct ExpTraits<double> {
  using Vector = f64x8;
  using Bits = uint64_t;
  static constexpr int kLanes = 8;
  static constexpr double kUlp = 0x1p-51;
  static constexpr int kTop = 12288;
  static constexpr int kBias = kTop / 8 - 1023;
  static constexpr Bits kOutside = ~(Bits)0x4000000000003FFF;
  static constexpr double kLimit = 0x1p30;  // 8 · 2^27 octaves: an exponent still fits 32 bits
  static constexpr int kTerms = 7;
  static constexpr double kC[kTerms] = {1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320};
  static constexpr double kG = 0x1.059cf1a421fffp+0;
};

// bits(g · 2^(j/8)) − (exponent bias) − (j at the third bit below the exponent): see add_shifted. All lie in [1, 2), so
// that the top of the window is ∞ or NaN in the sum and never wraps around.
alignas(64) const uint32_t kTableF32[8] = {
    0x3F82CFC6u - 0x3F800000u, 0x3F8EA6ADu - 0x3F900000u, 0x3F9B8FE6u - 0x3FA00000u, 0x3FA9A445u - 0x3FB00000u,
    0x3FB8FEDDu - 0x3FC00000u, 0x3FC9BD35u - 0x3FD00000u, 0x3FDBFF7Fu - 0x3FE00000u, 0x3FEFE8D9u - 0x3FF00000u,
};
alignas(64) const uint64_t kTableF64[8] = {
    0x3FF059CF1A421FFFull - 0x3FF0000000000000ull, 0x3FF1D4A8361FE0A4ull - 0x3FF2000000000000ull,
    0x3FF371CB38FB0F38ull - 0x3FF4000000000000ull, 0x3FF534529AA4D25Eull - 0x3FF6000000000000ull,
    0x3FF71FA0BABD32CBull - 0x3FF8000000000000ull, 0x3FF9376662BFA517ull - 0x3FFA000000000000ull,
    0x3FFB7FA9DED9E5A9ull - 0x3FFC000000000000ull, 0x3FFDFCCEBB32F5BEull - 0x3FFE000000000000ull,
};
SIMD_INLINE const float* exp_table(float) { return (const float*)kTableF32; }
SIMD_INLINE const double* exp_table(double) { return (const double*)kTableF64; }

template <class T> constexpr T infinity() { return (T)__builtin_huge_val(); }
template <class T> constexpr T largest() { return sizeof(T) == 4 ? (T)0x1.fffffep127 : (T)0x1.fffffffffffffp1023; }
template <class T> constexpr T not_a_number() { return (T)__builtin_nan("0"); }
SIMD_INLINE double pow2(int n) {  // 2^n for −1022 ≤ n ≤ 1023
  uint64_t u = (uint64_t)(n + 1023) << 52;
  double d;
  COPY(&d, &u, 8);
  return d;
}
SIMD_INLINE int exponent_of(double x) {  // floor(log2 |x|) of a normal x
  uint64_t u;
  COPY(&u, &x, 8);
  return (int)(u >> 52 & 0x7FF) - 1023;
}
SIMD_INLINE double with_exponent(double x, int n) {  // the mantissa of x times 2^n
  uint64_t u;
  COPY(&u, &x, 8);
  u = (u & 0x800FFFFFFFFFFFFF) | (uint64_t)(n + 1023) << 52;
  COPY(&x, &u, 8);
  return x;
}
SIMD_INLINE double nearest(double x) { return (x + 0x1.8p52) - 0x1.8p52; }  // for |x| < 2^51

// The constants of a temperature. A temperature far from 1 is brought near 1 by an exact power of two, and x is
// multiplied by the same power, scale1 · scale2: two factors, as 2^149 is no float.
template <class T> struct ExpScale {
  double temperature, octaves;  // T and log2(e) / T, of the scaled x
  T c, step_hi, step_lo, slope, terms[ExpTraits<T>::kTerms], scale1, scale2;
  bool unit, scaled;

  // Out of line, as the code is large. At T = 1 all are constants, which saves 10 to 30 ns a call.
  static NEVER_INLINE ExpScale of_call(double temperature) { return temperature == 1 ? of(1) : of(temperature); }
  static ALWAYS ExpScale of(double temperature) {  // folds to constants if T is one
    using X = ExpTraits<T>;
    ExpScale s;
    // Beyond these every float32 row is one-hot or uniform.
    double most = sizeof(T) == 4 ? 0x1p250 : largest<double>(), least = sizeof(T) == 4 ? 0x1p-250 : 0x1p-1074;
    temperature = temperature > most ? most : temperature < least ? least : temperature;
    int n = temperature < 0x1p-1000 ? exponent_of(temperature * 0x1p100) - 100 : exponent_of(temperature);
    s.scaled = n < -20 || n > 20;
    if (!s.scaled) n = 0;
    else if (n < 0) n++;  // T in [1/2, 1): x / T is the larger one, so that a scaled x overflows only if x / T does
    s.scale1 = (T)pow2(-(n / 2)), s.scale2 = (T)pow2(-(n - n / 2));
    double t = temperature * pow2(-(n / 2)) * pow2(-(n - n / 2));
    s.temperature = t;
    s.unit = t == 1;
    s.octaves = 0x1.71547652b82fep+0 / t;
    s.c = (T)(s.octaves * (8 * X::kUlp));
    double hi = t * 0x1.62e42fefa39efp-4, lo = FUSED_F64(t, 0x1.62e42fefa39efp-4, -hi) + t * 0x1.abc9e3b39803fp-59;
    s.step_hi = (T)hi;
    s.step_lo = (T)((hi - (double)s.step_hi) + lo);
    s.step_hi = -s.step_hi * (T)(1 / X::kUlp), s.step_lo = -s.step_lo * (T)(1 / X::kUlp);
    double inv = 1 / t, p = inv;
    s.slope = (T)inv;
    for (int i = 0; i < X::kTerms; i++, p *= inv) s.terms[i] = (T)(X::kC[i] * p);
    return s;
  }
};

// ExpScale in vectors, with the shared exponent e.
template <class T> struct ExpVector {
  using X = ExpTraits<T>;
  using V = typename X::Vector;
  V c, base, step_hi, step_lo, slope, terms[X::kTerms], low;

  ALWAYS ExpVector(const ExpScale<T>& s, double octave) {  // octave = e + kBias
    c = splat(s.c);
    base = splat((T)(2 + (X::kTop - 8 * octave) * X::kUlp));
    step_hi = splat(s.step_hi), step_lo = splat(s.step_lo), slope = splat(s.slope);
    UNROLL
    for (int i = 0; i < X::kTerms; i++) terms[i] = splat(s.terms[i]);
    low = splat(
        (T)((octave - (X::kTop - 16) / 8.) / s.octaves));  // k' ≥ 8, a normal S; what lies lower counts as nothing
  }
};

// An exact sum of two numbers, the second far below the last place of the first.
template <class V> struct Two {
  V x, low;
};
SIMD_INLINE f32x16 high_part(f32x16 v) { return v; }
SIMD_INLINE f64x8 high_part(f64x8 v) { return v; }
template <class V> SIMD_INLINE V high_part(Two<V> v) { return v.x; }
SIMD_INLINE f32x16 plus_low(f32x16 r, f32x16) { return r; }
SIMD_INLINE f64x8 plus_low(f64x8 r, f64x8) { return r; }
template <class V> SIMD_INLINE V plus_low(V r, Two<V> v) { return add(r, v.low); }
SIMD_INLINE f32x16 raise_to(f32x16 low, f32x16 v) { return max_keep_nan(low, v); }
SIMD_INLINE f64x8 raise_to(f64x8 low, f64x8 v) { return max_keep_nan(low, v); }
template <class V> SIMD_INLINE Two<V> raise_to(V low, Two<V> v) { return {max_keep_nan(low, v.x), v.low}; }
template <class V> SIMD_INLINE Two<V> two_sum(V a, V b) {  // Knuth
  V s = add(a, b), t = sub(s, a);
  return {s, add(sub(a, sub(s, t)), sub(b, t))};
}

// q of a vector (V or Two<V>) whose k' all lie inside the window; bits of `t` tell whether they do. kUnit: T is 1.
// `rest` receives the last rounding error of q. Max error of q: 1.4 · 2⁻²⁴ (float), 1.02 · 2⁻⁵³ (double, rest ignored).
template <bool kUnit, class T, class Value, class V>
SIMD_INLINE V exp_inside(const ExpVector<T>& e, Value value, V& t, V* rest = nullptr) {
  using X = ExpTraits<T>;
  V x = high_part(value);
  t = fma(x, e.c, e.base);
  V k = sub(t, e.base);
  V r = plus_low(fma(k, e.step_lo, fma(k, e.step_hi, x)), value);
  V s = add_shifted(lookup8(exp_table(T()), t), t);
  V p = e.terms[X::kTerms - 1];
  UNROLL
  for (int i = X::kTerms - 2; i >= 0; i--) p = fma(p, r, e.terms[i]);
  p = fma(mul(r, r), p, r);
  V steep = kUnit ? s : mul(s, e.slope), q = fma(steep, p, s);
  if (rest) *rest = fma(steep, p, sub(s, q));
  return q;
}

// As exp_inside, but values below the window give 0. A NaN stays a NaN.
template <bool kUnit, class T, class Value, class V>
SIMD_INLINE V exp_below(const ExpVector<T>& e, Value value, V& t, V* rest = nullptr) {
  V q = zero_below(exp_inside<kUnit>(e, raise_to(e.low, value), t, rest), high_part(value), e.low);
  if (rest) *rest = zero_below(*rest, high_part(value), e.low);
  return q;
}

// Multiplies a q of the double core to the exponent window and the g of the float core.
constexpr double kDoubleToFloat = ExpTraits<float>::kG / ExpTraits<double>::kG * 0x1p-480;
static_assert(ExpTraits<float>::kBias - ExpTraits<double>::kBias == -480, "the power of two in kDoubleToFloat");

// q in double for results that are rounded to float. Max error: 2^-36, by the series to r^5. |k| stays below 2^18, so
// one number is enough for ln 2 / 8. No value may lie below e.low.
SIMD_INLINE f64x8 exp_inside_for_float(const ExpVector<double>& e, f64x8 v) {
  f64x8 t = fma(v, e.c, e.base), r = fma(sub(t, e.base), e.step_hi, v);
  f64x8 s = add_shifted(lookup8(exp_table(0.), t), t),
        p = fma(fma(fma(e.terms[3], r, e.terms[2]), r, e.terms[1]), r, e.terms[0]);
  return fma(mul(s, e.slope), fma(mul(r, r), p, r), s);
}
// As exp_inside_for_float, but values below the window give 0. A NaN stays a NaN.
SIMD_INLINE f64x8 exp_for_float(const ExpVector<double>& e, f64x8 x) {
  return zero_below(exp_inside_for_float(e, raise_to(e.low, x)), x, e.low);
}

}  // namespace
